// `?`: which keys do what.
import { Kbd, Modal, Table } from '@mantine/core';

import type { PageEntry } from './pages';

const KEYS: [string[], string][] = [
  [['/'], 'Search metrics and pages (also Ctrl-K)'],
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
  pages,
}: {
  opened: boolean;
  onClose: () => void;
  /** Those that are there to go to. */
  pages: readonly PageEntry[];
}) {
  const [search, ...others] = KEYS;
  const goTo = pages.map(({ key, name }): [string[], string] => [['g', key], `Go to ${name}`]);
  const keys = [...(search ? [search] : []), ...goTo, ...others];
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
