// A list as long as it likes: only the rows in sight are in the page, each as tall as it is. A list of rows for screen
// readers, or a table if it has a head.
import { UnstyledButton } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState, type ReactNode } from 'react';

import { IconDown, IconRight } from '../app/icons';
import './list.css';

export function RowList<R extends { key: string }>({
  rows,
  label,
  rowPx,
  head,
  children,
}: {
  rows: readonly R[];
  label: string;
  /** About how tall a row is; only rows out of sight are believed to be so. */
  rowPx: number;
  /** Makes it a table: a row of column headers. */
  head?: ReactNode;
  children: (row: R) => ReactNode;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  // What stands above comes and goes.
  useLayoutEffect(() => {
    const measure = () =>
      setOffset(Math.round((host.current?.getBoundingClientRect().top ?? 0) + window.scrollY));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(document.body);
    return () => observer.disconnect();
  }, []);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowPx,
    overscan: 12,
    scrollMargin: offset,
    getItemKey: (i) => rows[i]?.key ?? i,
  });
  const isTable = head !== undefined;
  const roles = isTable ? { role: 'table', 'aria-rowcount': rows.length + 1 } : { role: 'list' };
  const rowRoles = (index: number) =>
    isTable
      ? { role: 'row', 'aria-rowindex': index + 2 }
      : { role: 'listitem', 'aria-setsize': rows.length, 'aria-posinset': index + 1 };
  return (
    <div className="panel row-list" aria-label={label} {...roles}>
      {head}
      <div
        ref={host}
        style={{ height: virtual.getTotalSize(), position: 'relative' }}
        role={isTable ? 'rowgroup' : 'presentation'}
      >
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              className="row-list-item"
              style={{ transform: `translateY(${item.start - offset}px)` }}
              {...rowRoles(item.index)}
            >
              {children(row)}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** Which rows show their details, by key. */
export function useOpenRows(): { isOpen: (key: string) => boolean; toggle: (key: string) => void } {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (key: string) =>
    setOpen((old) => {
      const next = new Set(old);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  return { isOpen: (key) => open.has(key), toggle };
}

export function OpenButton({
  open,
  label,
  onToggle,
}: {
  open: boolean;
  label: string;
  onToggle: () => void;
}) {
  return (
    <UnstyledButton className="row-open" aria-expanded={open} aria-label={label} onClick={onToggle}>
      {open ? <IconDown size={14} /> : <IconRight size={14} />}
    </UnstyledButton>
  );
}
