// Looks: neutral surfaces, one accent, red and amber only for trouble. Colours are CSS variables defined in
// theme.css; Mantine is told of them here.
import { createTheme, type MantineColorsTuple } from '@mantine/core';

const accent: MantineColorsTuple = [
  '#e4f5f6',
  '#c9e8ea',
  '#9dd3d7',
  '#6cbcc2',
  '#45a8b0',
  '#2593a0',
  '#147f8b',
  '#0f6e78',
  '#0b5a63',
  '#07474e',
];

const dark: MantineColorsTuple = [
  '#d7dae0',
  '#b9bec8',
  '#9aa1ae',
  '#6f7785',
  '#434a57',
  '#343a45',
  '#262b34',
  '#1b1f26',
  '#14171c',
  '#0f1115',
];

export const theme = createTheme({
  primaryColor: 'accent',
  // White on either is at least 4.5 : 1.
  primaryShade: { light: 7, dark: 6 },
  colors: { accent, dark },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  defaultRadius: 'sm',
  headings: {
    fontWeight: '600',
    sizes: { h1: { fontSize: '1.25rem' }, h2: { fontSize: '1rem' }, h3: { fontSize: '0.875rem' } },
  },
  components: {
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true, multiline: true, maw: 420 } },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray' } },
  },
});

export const THEME_KEY = 'kymo-theme';
