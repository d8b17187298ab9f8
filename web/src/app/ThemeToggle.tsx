// Light, dark, or as the system says.
import { ActionIcon, Tooltip, useMantineColorScheme } from '@mantine/core';

import { IconAuto, IconMoon, IconSun } from './icons';

const NEXT = { light: 'dark', dark: 'auto', auto: 'light' } as const;
const WORDS = { light: 'light', dark: 'dark', auto: 'as the system' } as const;
const ICONS = { light: IconSun, dark: IconMoon, auto: IconAuto } as const;

export function useNextTheme(): () => void {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return () => setColorScheme(NEXT[colorScheme]);
}

export function ThemeToggle() {
  const { colorScheme } = useMantineColorScheme();
  const next = useNextTheme();
  const Icon = ICONS[colorScheme];
  const words = `Theme: ${WORDS[colorScheme]}. Change to ${WORDS[NEXT[colorScheme]]}`;
  return (
    <Tooltip label={words}>
      <ActionIcon aria-label={words} onClick={next}>
        <Icon />
      </ActionIcon>
    </Tooltip>
  );
}
