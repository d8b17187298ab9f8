// The legend: a table of what each line is and reads. A click hides or shows, alt-click leaves only that one.
import { useVirtualizer } from '@tanstack/react-virtual';
import { useComputedColorScheme } from '@mantine/core';
import { useRef } from 'react';

import { SERIES_DARK, SERIES_LIGHT } from '../lib/palette';
import { summarize } from '../lib/series';
import { formatValue, fullValue, type Unit } from '../lib/units';
import type { PlotSeries } from './plotData';
import './graph.css';

const ROW_PX = 24;
const ROWS_SHOWN_MAX = 9;

export interface LegendProps {
  series: readonly PlotSeries[];
  hidden: ReadonlySet<string>;
  unit: Unit;
  onClick: (key: string, only: boolean) => void;
  /** Fewer columns where there is little room. */
  compact?: boolean;
}

export function Legend({ series, hidden, unit, onClick, compact = false }: LegendProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const colors = useComputedColorScheme('light') === 'dark' ? SERIES_DARK : SERIES_LIGHT;
  const rows = useVirtualizer({
    count: series.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  const height = Math.min(series.length, ROWS_SHOWN_MAX) * ROW_PX;
  const className = compact ? 'legend compact' : 'legend';
  return (
    <div className={className} role="group" aria-label="Legend">
      {compact ? null : (
        <div className="legend-row legend-head" aria-hidden="true">
          <span />
          <span>
            {series.length} series
            {hidden.size > 0 ? `, ${hidden.size} hidden` : ''}
          </span>
          <span className="num wide">min</span>
          <span className="num wide">mean</span>
          <span className="num">max</span>
          <span className="num">last</span>
        </div>
      )}
      <div ref={scroller} style={{ height, overflowY: 'auto' }}>
        <div style={{ height: rows.getTotalSize(), position: 'relative' }}>
          {rows.getVirtualItems().map((row) => {
            const one = series[row.index];
            if (!one) return null;
            const off = hidden.has(one.key);
            return (
              <button
                key={one.key}
                type="button"
                className={off ? 'legend-row off' : 'legend-row'}
                style={{
                  transform: `translateY(${row.start}px)`,
                  position: 'absolute',
                  top: 0,
                  left: 0,
                  right: 0,
                }}
                aria-pressed={!off}
                title={`${one.label}\nClick hides or shows it, Alt-click leaves only it.`}
                onClick={(event) => onClick(one.key, event.altKey)}
              >
                <span className="swatch" style={{ background: colors[one.slot % colors.length] }} />
                <span className="legend-name">{one.label}</span>
                <Numbers values={one.values} unit={unit} compact={compact} />
              </button>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Numbers({ values, unit, compact }: { values: (number | null)[]; unit: Unit; compact: boolean }) {
  const found = summarize(values);
  const cell = (value: number | null | undefined, wide: boolean) =>
    value === null || value === undefined ? (
      <span className={wide ? 'num wide' : 'num'}>–</span>
    ) : (
      <span className={wide ? 'num wide' : 'num'} title={fullValue(value, unit)}>
        {formatValue(value, unit)}
      </span>
    );
  if (compact) return cell(found?.last, false);
  return (
    <>
      {cell(found?.min, true)}
      {cell(found?.mean, true)}
      {cell(found?.max, false)}
      {cell(found?.last, false)}
    </>
  );
}
