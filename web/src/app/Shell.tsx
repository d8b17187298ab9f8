// What surrounds every page: the rail, the top bar, search, keys.
import { ActionIcon, AppShell, Burger, Group, Overlay, Tooltip, UnstyledButton } from '@mantine/core';
import { useDisclosure, useLocalStorage } from '@mantine/hooks';
import { useEffect, type ReactNode } from 'react';
import { NavLink, useLocation, useNavigate } from 'react-router';

import { useRules } from '../api/hooks';
import { useKymoStatus } from '../api/kymo';
import { IconClose, IconKeys, IconLeft, IconRight, IconSearch } from './icons';
import { Keys } from './Keys';
import logo from './kymo.svg';
import { isRanged, PAGES, pageAt } from './pages';
import { RefreshPicker } from './RefreshPicker';
import { Search } from './Search';
import { StartingBanner } from './Starting';
import { ThemeToggle, useNextTheme } from './ThemeToggle';
import { useTime } from './timeControl';
import { TimePicker } from './TimePicker';
import { useKeys, type KeyActions } from './useKeys';
import './shell.css';

export function Shell({ children }: { children: ReactNode }) {
  const [drawer, drawerControl] = useDisclosure(false);
  const [searching, search] = useDisclosure(false);
  const [keysShown, keys] = useDisclosure(false);
  const [narrow, setNarrow] = useLocalStorage({ key: 'kymo-rail-narrow', defaultValue: false });
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const time = useTime();
  const nextTheme = useNextTheme();
  // Alerts are shown only where rules are evaluated: a page that could never fill would be a lie.
  const rules = useRules(0);
  const kymo = useKymoStatus(0);
  const alerting = rules.data !== undefined && (rules.data.groups.length > 0 || kymo.data === null);
  // So is what only Kymo does: a Prometheus has no sources of pushes, and tells nobody itself.
  const pages = PAGES.filter(
    (page) =>
      (alerting || !['/alerts', '/rules'].includes(page.path)) &&
      (!['/push', '/silences', '/routing'].includes(page.path) || kymo.data !== null),
  );
  const page = pageAt(pathname);
  const ranged = isRanged(pathname);

  useEffect(() => {
    document.title = page ? `${page.name} · Kymo` : 'Kymo';
  }, [page]);

  const actions: KeyActions = {
    '/': search.open,
    'ctrl+k': search.open,
    '?': keys.open,
    '[': () => time.step(-1),
    ']': () => time.step(1),
    z: time.zoomOut,
    r: time.refreshNow,
    d: nextTheme,
  };
  for (const one of pages) actions[`g ${one.key}`] = () => void navigate(`${one.path}${time.carried}`);
  useKeys(actions);

  return (
    <AppShell
      header={{ height: { base: ranged ? 92 : 52, sm: 52 } }}
      navbar={{ width: narrow ? 60 : 188, breakpoint: 'sm', collapsed: { mobile: !drawer } }}
      padding="md"
      layout="alt"
      transitionDuration={0}
    >
      <a className="skip-link" href="#page">
        Skip to the page
      </a>
      <AppShell.Header className="top-bar">
        <Burger opened={drawer} onClick={drawerControl.toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
        <h1 className="page-name">{page?.name ?? 'Kymo'}</h1>
        <Tooltip label="Search metrics and pages  ( / )">
          <UnstyledButton
            className="search-button"
            onClick={search.open}
            aria-label="Search metrics and pages"
          >
            <IconSearch size={15} />
            <span>Search</span>
            <kbd>/</kbd>
          </UnstyledButton>
        </Tooltip>
        <Group gap={4} wrap="nowrap" className="top-time">
          {ranged ? <TimePicker /> : null}
          {page ? <RefreshPicker /> : null}
        </Group>
        <Group gap={2} wrap="nowrap">
          <ThemeToggle />
          <Tooltip label="Keys  ( ? )">
            <ActionIcon aria-label="Keys" onClick={keys.open} visibleFrom="sm">
              <IconKeys />
            </ActionIcon>
          </Tooltip>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className={narrow ? 'rail narrow' : 'rail'} aria-label="Pages">
        <Group justify="space-between" wrap="nowrap" align="start">
          <NavLink
            to={`/overview${time.carried}`}
            className="brand"
            aria-label="Kymo, overview"
            onClick={drawerControl.close}
          >
            <img src={logo} alt="" width={24} height={24} />
            <span>Kymo</span>
          </NavLink>
          <ActionIcon hiddenFrom="sm" mt={6} aria-label="Close the rail" onClick={drawerControl.close}>
            <IconClose />
          </ActionIcon>
        </Group>
        {pages.map((entry) => (
          <Tooltip key={entry.path} label={entry.name} position="right" disabled={!narrow || drawer}>
            <NavLink
              to={`${entry.path}${time.carried}`}
              className="rail-link"
              onClick={drawerControl.close}
              aria-label={entry.name}
            >
              <entry.icon />
              <span>{entry.name}</span>
            </NavLink>
          </Tooltip>
        ))}
        <UnstyledButton
          className="rail-link rail-fold"
          visibleFrom="sm"
          onClick={() => setNarrow((old) => !old)}
          aria-label={narrow ? 'Widen the rail' : 'Narrow the rail'}
        >
          {narrow ? <IconRight /> : <IconLeft />}
          <span>Narrow</span>
        </UnstyledButton>
      </AppShell.Navbar>
      {drawer ? (
        <Overlay hiddenFrom="sm" zIndex={150} backgroundOpacity={0.4} onClick={drawerControl.close} />
      ) : null}
      <AppShell.Main id="page" tabIndex={-1}>
        <StartingBanner />
        {children}
      </AppShell.Main>
      <Search opened={searching} onClose={search.close} pages={pages} />
      <Keys opened={keysShown} onClose={keys.close} pages={pages} />
    </AppShell>
  );
}
