// A long text, line by line, numbered on wish; only what is in sight is in the page.
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef, type ReactNode } from 'react';

const LINE_PX = 19;

export function TextLines({
  lines,
  label,
  heightMax,
  numbered = false,
}: {
  lines: readonly ReactNode[];
  label: string;
  heightMax: number;
  numbered?: boolean;
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    overscan: 30,
  });
  const digits = String(lines.length).length;
  return (
    <div
      ref={scroller}
      className="text-lines mono"
      style={{ maxHeight: heightMax }}
      role="region"
      aria-label={label}
      tabIndex={0}
    >
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((item) => (
          <div
            key={item.index}
            className="text-line"
            style={{ transform: `translateY(${item.start}px)`, height: LINE_PX }}
          >
            {numbered ? (
              <span className="line-number" style={{ width: `${digits + 1}ch` }}>
                {item.index + 1}
              </span>
            ) : null}
            <span className="line-text">{lines[item.index]}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
