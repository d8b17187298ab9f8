// `?`: which keys do what.
import { Kbd, Modal, Table } from '@mantine/core';

const KEYS: [string[], string][] = [
  [['/'], 'Search metrics and pages (also Ctrl-K)'],
  [['g', 'o'], 'Go to Overview'],
  [['g', 'e'], 'Go to Explore'],
  [['g', 't'], 'Go to Targets'],
  [['g', 'd'], 'Go to Discovery'],
  [['g', 'p'], 'Go to Push'],
  [['g', 's'], 'Go to Status'],
  [['['], 'Earlier by half the range'],
  [[']'], 'Later by half the range'],
  [['z'], 'Zoom out'],
  [['r'], 'Refresh now'],
  [['d'], 'Next theme: light, dark, as the system'],
  [['Ctrl', 'Enter'], 'In the editor: run (also Enter)'],
  [['Shift', 'Enter'], 'In the editor: new line'],
  [['←', '→'], 'On a graph: move the crosshair'],
  [['Esc'], 'Close, or let go of the crosshair'],
  [['?'], 'This list'],
];

export function Keys({
  opened,
  onClose,
  withAlerts,
}: {
  opened: boolean;
  onClose: () => void;
  withAlerts: boolean;
}) {
  const keys: [string[], string][] = withAlerts
    ? [...KEYS.slice(0, 3), [['g', 'a'], 'Go to Alerts'], [['g', 'r'], 'Go to Rules'], ...KEYS.slice(3)]
    : KEYS;
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Keys"
      size="md"
      closeButtonProps={{ 'aria-label': 'Close' }}
      transitionProps={{ duration: 0 }}
    >
      <Table verticalSpacing={6}>
        <Table.Tbody>
          {keys.map(([combination, what]) => (
            <Table.Tr key={what}>
              <Table.Td w={130}>
                {combination.map((key, i) => (
                  <span key={key}>
                    {i > 0 ? ' ' : ''}
                    <Kbd>{key}</Kbd>
                  </span>
                ))}
              </Table.Td>
              <Table.Td>{what}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
