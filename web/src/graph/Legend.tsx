// The legend: what each line is and reads. A click hides or shows, alt-click leaves only that one.
import { useComputedColorScheme } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
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
}

/** A row per series with its least, mean, greatest and last value; thousands of them scroll. */
export function Legend({ series, hidden, unit, onClick }: LegendProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: series.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  return (
    <div className="legend" role="group" aria-label="Legend">
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
      <div
        ref={scroller}
        style={{ height: Math.min(series.length, ROWS_SHOWN_MAX) * ROW_PX, overflowY: 'auto' }}
      >
        <div style={{ height: rows.getTotalSize(), position: 'relative' }}>
          {rows.getVirtualItems().map((row) => {
            const one = series[row.index];
            if (!one) return null;
            return (
              <div key={one.key} className="legend-place" style={{ transform: `translateY(${row.start}px)` }}>
                <Entry one={one} off={hidden.has(one.key)} unit={unit} onClick={onClick} full />
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Names and last values in as many columns as fit, for small graphs. */
export function CompactLegend({ series, hidden, unit, onClick }: LegendProps) {
  return (
    <div className="legend compact" role="group" aria-label="Legend">
      {series.map((one) => (
        <Entry key={one.key} one={one} off={hidden.has(one.key)} unit={unit} onClick={onClick} />
      ))}
    </div>
  );
}

function Entry({
  one,
  off,
  unit,
  onClick,
  full = false,
}: {
  one: PlotSeries;
  off: boolean;
  unit: Unit;
  onClick: (key: string, only: boolean) => void;
  full?: boolean;
}) {
  const colors = useComputedColorScheme('light') === 'dark' ? SERIES_DARK : SERIES_LIGHT;
  const found = summarize(one.values);
  return (
    <button
      type="button"
      className={off ? 'legend-row off' : 'legend-row'}
      aria-pressed={!off}
      title={`${one.label}\nClick hides or shows it, Alt-click leaves only it.`}
      onClick={(event) => onClick(one.key, event.altKey)}
    >
      <span className="swatch" style={{ background: colors[one.slot % colors.length] }} />
      <span className="legend-name">{one.label}</span>
      {full ? (
        <>
          <Cell value={found?.min} unit={unit} wide />
          <Cell value={found?.mean} unit={unit} wide />
          <Cell value={found?.max} unit={unit} />
        </>
      ) : null}
      <Cell value={found?.last} unit={unit} digits={full ? 4 : 3} />
    </button>
  );
}

function Cell({
  value,
  unit,
  wide = false,
  digits = 4,
}: {
  value: number | null | undefined;
  unit: Unit;
  wide?: boolean;
  digits?: number;
}) {
  const className = wide ? 'num wide' : 'num';
  if (value === null || value === undefined) return <span className={className}>–</span>;
  return (
    <span className={className} title={fullValue(value, unit)}>
      {formatValue(value, unit, digits)}
    </span>
  );
}
