// Which queries run, what they hold, and the means to end one.
import { Button, Table, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';

import { kill, useActiveQueries, type ActiveQuery } from '../../api/active';
import { ErrorNote, Section } from '../../app/parts';
import { formatValue } from '../../lib/units';

export function ActiveQueries({ refreshMs }: { refreshMs: number }) {
  const loaded = useActiveQueries(refreshMs);
  const queries = loaded.data ?? [];
  return (
    <Section id="queries" title="Running queries">
      {loaded.error ? (
        <ErrorNote
          title="Running queries: could not be asked for"
          error={loaded.error}
          kept={loaded.data !== undefined}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {loaded.data !== undefined && queries.length === 0 ? (
        <Text size="sm" c="dimmed">
          None at the moment.
        </Text>
      ) : null}
      {queries.length > 0 ? (
        <div className="wide">
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Query</Table.Th>
                <Table.Th>From</Table.Th>
                <Table.Th>Class</Table.Th>
                <Table.Th>Age</Table.Th>
                <Table.Th>Memory</Table.Th>
                <Table.Th>Series read</Table.Th>
                <Table.Th />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {queries.map((query) => (
                <Row key={query.id} query={query} onEnded={() => void loaded.refetch()} />
              ))}
            </Table.Tbody>
          </Table>
        </div>
      ) : null}
    </Section>
  );
}

function Row({ query, onEnded }: { query: ActiveQuery; onEnded: () => void }) {
  const ending = useMutation({ mutationFn: () => kill(query.id), onSettled: onEnded });
  return (
    <Table.Tr>
      <Table.Td className="mono wrap-anywhere">{query.query}</Table.Td>
      <Table.Td>{[query.user, query.source].filter((text) => text !== '').join(', ')}</Table.Td>
      <Table.Td>
        {query.class}
        {query.state === 'waiting' ? ', waiting' : ''}
      </Table.Td>
      <Table.Td className="tabular">{formatValue(query.ageSeconds, 'seconds', 2)}</Table.Td>
      <Table.Td className="tabular">{formatValue(query.memoryBytes, 'bytes', 3)}</Table.Td>
      <Table.Td className="tabular">
        {query.seriesRead.toLocaleString('en-US')} of {query.seriesSelected.toLocaleString('en-US')}
      </Table.Td>
      <Table.Td>
        <Button
          size="compact-xs"
          variant="default"
          loading={ending.isPending}
          onClick={() => ending.mutate()}
          aria-label={`End query ${query.id}`}
        >
          End
        </Button>
      </Table.Td>
    </Table.Tr>
  );
}
