import type { Alert } from '../../api/types';

/** Firing before pending, the newest trouble first. */
export function sortAlerts(alerts: readonly Alert[]): Alert[] {
  const since = (alert: Alert) => (alert.activeAt === undefined ? 0 : Date.parse(alert.activeAt) || 0);
  return [...alerts].sort(
    (a, b) => Number(b.state === 'firing') - Number(a.state === 'firing') || since(b) - since(a),
  );
}
