// Refreshing: now, or by itself. A refresh of more than 200 ms shows on the button.
import { ActionIcon, Button, Group, Menu, Tooltip } from '@mantine/core';
import { useIsFetching } from '@tanstack/react-query';

import { formatDuration } from '../lib/time';
import { REFRESH_CHOICES_MS } from '../lib/urlState';
import { useDelayed } from './useDelayed';
import { IconDown, IconRefresh } from './icons';
import { useTime } from './timeControl';

export function RefreshPicker() {
  const { refreshMs, setRefresh, refreshNow } = useTime();
  const slow = useDelayed(useIsFetching() > 0, 200);
  return (
    <Group gap={2} wrap="nowrap">
      <Tooltip label="Refresh now  ( r )">
        <ActionIcon aria-label="Refresh now" onClick={refreshNow} loading={slow} loaderProps={{ size: 14 }}>
          <IconRefresh />
        </ActionIcon>
      </Tooltip>
      <Menu position="bottom-end" shadow="md">
        <Menu.Target>
          <Button
            variant="subtle"
            color="gray"
            size="compact-sm"
            rightSection={<IconDown size={13} />}
            aria-label={
              refreshMs === 0 ? 'Auto-refresh is off' : `Refreshes every ${formatDuration(refreshMs)}`
            }
          >
            {refreshMs === 0 ? 'off' : formatDuration(refreshMs)}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Refresh by itself</Menu.Label>
          {REFRESH_CHOICES_MS.map((ms) => (
            <Menu.Item
              key={ms}
              onClick={() => setRefresh(ms)}
              aria-current={ms === refreshMs}
              fw={ms === refreshMs ? 700 : 400}
            >
              {ms === 0 ? 'Off' : `Every ${formatDuration(ms)}`}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}
