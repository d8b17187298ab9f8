// One discovered target: what became of it, why, and on wish what each rule did.
import { StateDot } from '../../app/parts';
import { OpenButton } from '../../list/RowList';
import type { Found } from './found';
import { LabelTable } from './LabelTable';
import { ruleText } from './relabelData';
import { RelabelSteps } from './RelabelSteps';

export function FoundRow({ found, open, onToggle }: { found: Found; open: boolean; onToggle: () => void }) {
  const address = found.discovered['__address__'] ?? '(no address)';
  const dot = found.error !== undefined ? 'bad' : found.fate === 'scraped' ? 'ok' : 'none';
  return (
    <div className="list-row found-row">
      <div className="found-line">
        <OpenButton open={open} label={`What relabelling did to ${address}`} onToggle={onToggle} />
        <span className="row-state">
          <StateDot state={dot} />
          {found.fate}
        </span>
        <span>
          <span className="mono wrap-anywhere">{address}</span>
          <Why found={found} />
        </span>
      </div>
      {open ? (
        <div className="target-details">
          <RelabelSteps pool={found.pool} labels={found.discovered} />
          <LabelTable before={found.discovered} after={found.labels} />
        </div>
      ) : null}
    </div>
  );
}

function Why({ found }: { found: Found }) {
  if (found.error !== undefined)
    return (
      <div className="found-why invalid">
        {found.fate === 'scraped' ? `down: ${found.error}` : found.error}
      </div>
    );
  if (found.fate !== 'dropped') return null;
  return (
    <div className="found-why">
      {found.droppedBy
        ? `rule ${found.droppedBy.index + 1}: ${ruleText(found.droppedBy.rule)}`
        : 'dropped by relabelling'}
    </div>
  );
}
