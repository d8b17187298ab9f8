// The labels that discovery gave a target beside those its series carry, name by name.
import type { Labels } from '../../lib/labels';

export function LabelTable({ before, after }: { before: Labels; after?: Labels | undefined }) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after ?? {})])].sort();
  return (
    <table className="label-table mono">
      <thead>
        <tr>
          <th scope="col">Label</th>
          <th scope="col">Before relabelling</th>
          {after ? <th scope="col">Of its series</th> : null}
        </tr>
      </thead>
      <tbody>
        {names.map((name) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{before[name] ?? <Absent />}</td>
            {after ? (
              <td className={after[name] === before[name] ? undefined : 'label-changed'}>
                {after[name] ?? <Absent />}
              </td>
            ) : null}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Absent() {
  return (
    <span className="quiet" title="Has no such label">
      –
    </span>
  );
}
