// A time series graph on canvas. uPlot draws; React holds the tooltip. The plot is made anew when its series or
// looks change, and only fed when data does.
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import uPlot from 'uplot';

import { SERIES_DARK, SERIES_LIGHT } from '../lib/palette';
import { axisTimes, localTime, utcTime, zoomTo, type TimeRange } from '../lib/time';
import { axisValues, formatValue, type Unit } from '../lib/units';
import {
  drawnValues,
  isolatedPoints,
  plotRange,
  readingsAt,
  tickIncrements,
  type PlotSeries,
} from './plotData';
import './graph.css';

export interface PlotProps {
  /** Unix seconds. */
  times: number[];
  series: readonly PlotSeries[];
  unit: Unit;
  stacked?: boolean;
  height?: number;
  /** The y-axis reaches at least this (1 for a share of a whole). */
  ceiling?: number;
  /** What the graph shows, for those who do not see it. */
  label: string;
  /** Graphs with the same key share their crosshair. */
  syncKey?: string;
  onZoom?: (range: TimeRange) => void;
  onZoomOut?: () => void;
}

interface Pointer {
  index: number;
  /** The value at the pointer's height. */
  value: number;
  /** Where the tip stands: beside the crosshair, on the side with more room. */
  style: { left: number } | { right: number };
}

function pointerOf(u: uPlot): Pointer | null {
  const { idx, left, top } = u.cursor;
  if (idx === null || idx === undefined || left === undefined || left < 0) return null;
  const start = u.over.offsetLeft;
  const width = u.over.clientWidth;
  return {
    index: idx,
    value: u.posToVal(top ?? 0, 'y'),
    style: left > width / 2 ? { right: u.width - start - left + 14 } : { left: start + left + 14 },
  };
}

/** As text: no series has this colour. */
const THRESHOLD_LIGHT = '#1c2026';
const THRESHOLD_DARK = '#d7dae0';

function strokeOf(one: PlotSeries, dark: boolean): string {
  if (one.isThreshold) return dark ? THRESHOLD_DARK : THRESHOLD_LIGHT;
  const colors = dark ? SERIES_DARK : SERIES_LIGHT;
  return colors[one.slot % colors.length] ?? '#888';
}

/** More readings than this do not fit beside a crosshair. */
const TOOLTIP_MAX = 12;

export function Plot(props: PlotProps) {
  const { times, series, unit, stacked = false, height = 240, label, ceiling, syncKey = 'page' } = props;
  const scheme = useComputedColorScheme('light');
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointer, setPointer] = useState<Pointer | null>(null);
  const hovering = useRef(false);

  const drawn = useMemo(() => drawnValues(series, stacked), [series, stacked]);
  const range = useMemo(() => plotRange(drawn, unit, stacked, ceiling), [drawn, unit, stacked, ceiling]);
  const alone = useMemo(() => drawn.map(isolatedPoints), [drawn]);
  const data = useMemo(() => [times, ...drawn] as uPlot.AlignedData, [times, drawn]);

  // What the plot's callbacks read; they outlive a render.
  const latest = useRef({ range, alone, times, props });
  useLayoutEffect(() => {
    latest.current = { range, alone, times, props };
  });

  const looks = `${scheme}|${unit}|${stacked}|${syncKey}|${series.map((one) => `${one.key}:${one.slot}`).join('\u0003')}`;

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const made = new uPlot(
      options({
        width: element.clientWidth,
        height,
        unit,
        stacked,
        dark: scheme === 'dark',
        syncKey,
        strokes: series.map((one) => strokeOf(one, scheme === 'dark')),
        dashed: series.map((one) => one.isThreshold === true),
        range: () => latest.current.range,
        xRange: () => {
          const all = latest.current.times;
          return [all[0] ?? 0, all[all.length - 1] ?? 1];
        },
        alone: (i) => latest.current.alone[i] ?? [],
        onZoom: (from, to) => {
          const next = zoomTo(from * 1_000, to * 1_000);
          if (next) latest.current.props.onZoom?.(next);
        },
        onCursor: (u) => {
          setPointer(hovering.current ? pointerOf(u) : null);
        },
      }),
      data,
      element,
    );
    plot.current = made;
    const over = made.over;
    const enter = () => {
      hovering.current = true;
    };
    const leave = () => {
      hovering.current = false;
      setPointer(null);
    };
    const double = () => latest.current.props.onZoomOut?.();
    const touch = (event: PointerEvent) => {
      if (event.pointerType !== 'touch') return;
      hovering.current = true;
      const box = over.getBoundingClientRect();
      made.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
    };
    over.addEventListener('mouseenter', enter);
    over.addEventListener('mouseleave', leave);
    over.addEventListener('dblclick', double);
    over.addEventListener('pointerdown', touch);
    over.addEventListener('pointermove', touch);
    const resize = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height });
    });
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
    // `data` is fed below; making the plot anew for it would lose the crosshair.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [looks, height]);

  useEffect(() => {
    const current = plot.current;
    if (current && current.data !== data) current.setData(data);
  }, [data]);

  const onKeyDown = (event: KeyboardEvent) => {
    const current = plot.current;
    if (!current) return;
    if (event.key === 'Escape') {
      hovering.current = false;
      current.setCursor({ left: -10, top: -10 });
      return;
    }
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    event.preventDefault();
    const move = (event.key === 'ArrowRight' ? 1 : -1) * (event.shiftKey ? 10 : 1);
    const from = pointer?.index ?? times.length - 1;
    const index = Math.max(0, Math.min(times.length - 1, from + move));
    hovering.current = true;
    current.setCursor({ left: current.valToPos(times[index] ?? 0, 'x'), top: current.over.clientHeight / 2 });
  };

  return (
    // The graph is reached by Tab, so that arrows can move its crosshair.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- an application is interactive
    <div
      className="plot"
      ref={host}
      style={{ minHeight: height }}
      role="application"
      aria-label={`Graph: ${label}. Arrow keys read its values.`}

      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      {pointer ? (
        <Tip pointer={pointer} times={times} series={series} unit={unit} dark={scheme === 'dark'} />
      ) : null}
    </div>
  );
}

function Tip({
  pointer,
  times,
  series,
  unit,
  dark,
}: {
  pointer: Pointer;
  times: number[];
  series: readonly PlotSeries[];
  unit: Unit;
  dark: boolean;
}) {
  const readings = readingsAt(series, pointer.index);
  const ms = (times[pointer.index] ?? 0) * 1_000;
  const nearest = nearestTo(readings, pointer.value);
  const start = Math.max(
    0,
    Math.min(readings.length - TOOLTIP_MAX, readings.findIndex((r) => r === nearest) - TOOLTIP_MAX / 2),
  );
  const shown = readings.slice(start, start + TOOLTIP_MAX);
  return (
    <div className="plot-tip" role="status" style={pointer.style}>
      <div className="plot-tip-time" title={utcTime(ms)}>
        {localTime(ms)}
      </div>
      {start > 0 ? <div className="plot-tip-more">{start} larger</div> : null}
      {shown.map((reading) => (
        <div
          key={reading.series.key}
          className={reading === nearest && readings.length > 1 ? 'plot-tip-row near' : 'plot-tip-row'}
        >
          <span className="swatch" style={{ background: strokeOf(reading.series, dark) }} />
          <span className="plot-tip-name">{reading.series.label}</span>
          <span className="num">{formatValue(reading.value, unit)}</span>
        </div>
      ))}
      {readings.length > start + shown.length ? (
        <div className="plot-tip-more">{readings.length - start - shown.length} smaller</div>
      ) : null}
      {readings.length === 0 ? <div className="plot-tip-more">no data here</div> : null}
    </div>
  );
}

function nearestTo<T extends { value: number }>(readings: readonly T[], value: number): T | null {
  let best: T | null = null;
  for (const reading of readings) {
    if (best === null || Math.abs(reading.value - value) < Math.abs(best.value - value)) best = reading;
  }
  return best;
}

interface Wanted {
  width: number;
  height: number;
  unit: Unit;
  stacked: boolean;
  dark: boolean;
  syncKey: string;
  strokes: string[];
  dashed: boolean[];
  range: () => [number, number];
  xRange: () => [number, number];
  alone: (i: number) => number[];
  onZoom: (fromSeconds: number, toSeconds: number) => void;
  onCursor: (u: uPlot) => void;
}

function options(wanted: Wanted): uPlot.Options {
  const text = wanted.dark ? '#9aa3b2' : '#5b6472';
  const grid = wanted.dark ? '#262c35' : '#eceef2';
  const font = '11px system-ui, sans-serif';
  return {
    width: wanted.width,
    height: wanted.height,
    legend: { show: false },
    padding: [10, 8, 0, 0],
    ms: 1e-3,
    cursor: {
      drag: { x: true, y: false, setScale: false, dist: 6 },
      sync: { key: wanted.syncKey, setSeries: false, scales: ['x', null] },
      points: { size: 6 },
      bind: { dblclick: () => null },
    },
    scales: { x: { time: true, range: wanted.xRange }, y: { range: wanted.range } },
    axes: [
      {
        stroke: text,
        font,
        space: 84,
        // A second line holds the date, where the day changes.
        size: (_u, values) => ((values as string[] | null)?.some((value) => value.includes('\n')) ? 40 : 27),
        gap: 4,
        grid: { stroke: grid, width: 1 },
        ticks: { stroke: grid, width: 1, size: 4 },
        values: (_u, splits, _axis, _space, incr) =>
          axisTimes(
            splits.map((s) => s * 1_000),
            incr * 1_000,
          ),
      },
      {
        stroke: text,
        font,
        space: 34,
        size: axisSize,
        gap: 6,
        incrs: tickIncrements(wanted.unit),
        grid: { stroke: grid, width: 1 },
        ticks: { show: false },
        values: (_u, splits) => axisValues(splits, wanted.unit),
      },
    ],
    series: [
      {},
      ...wanted.strokes.map((stroke, i): uPlot.Series => {
        const line: uPlot.Series = {
          stroke,
          width: 1.5,
          spanGaps: false,
          points: {
            show: false,
            size: 4,
            fill: stroke,
            filter: () => {
              const list = wanted.alone(i);
              return list.length > 0 ? list : null;
            },
          },
        };
        if (wanted.dashed[i]) line.dash = [6, 5];
        if (wanted.stacked) line.fill = `${stroke}${wanted.dark ? '66' : '55'}`;
        return line;
      }),
    ],
    ...(wanted.stacked
      ? {
          // Each area ends where the next begins, so that translucent fills do not add up.
          bands: wanted.strokes.slice(1).map((_, i) => ({ series: [i + 1, i + 2] as [number, number] })),
        }
      : {}),
    hooks: {
      setCursor: [wanted.onCursor],
      setSelect: [
        (u) => {
          if (u.select.width > 0) {
            wanted.onZoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          }
        },
      ],
    },
  };
}

/** As wide as its longest label. */
function axisSize(_u: uPlot, values: string[] | null): number {
  const longest = (values ?? []).reduce((most, value) => Math.max(most, value.length), 0);
  return Math.max(44, longest * 6.2 + 16);
}
