// Providers and routes. Each page is its own chunk; only the shell and the page asked for are loaded.
import { MantineProvider, localStorageColorSchemeManager } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';
import { BrowserRouter, Navigate, Route, Routes, useSearchParams } from 'react-router';

import { ApiError } from '../api/client';
import { ErrorBoundary } from './ErrorBoundary';
import { NotFound } from './NotFound';
import { PageSkeleton } from './parts';
import { Shell } from './Shell';
import { theme, THEME_KEY } from './theme';
import { TimeProvider } from './timeControl';

const Overview = lazy(() => import('../pages/overview/Overview'));
const Explore = lazy(() => import('../pages/explore/Explore'));
const Targets = lazy(() => import('../pages/targets/Targets'));
const Discovery = lazy(() => import('../pages/discovery/Discovery'));
const Push = lazy(() => import('../pages/push/Push'));
const Status = lazy(() => import('../pages/status/Status'));
const TryRule = lazy(() => import('../pages/tryrule/TryRule'));
const Rules = lazy(() => import('../pages/rules/Rules'));
const Silences = lazy(() => import('../pages/silences/Silences'));
const NewSilence = lazy(() =>
  import('../pages/silences/SilenceForm').then((forms) => ({ default: forms.NewSilence })),
);
const EditSilence = lazy(() =>
  import('../pages/silences/SilenceForm').then((forms) => ({ default: forms.EditSilence })),
);
const Routing = lazy(() => import('../pages/routing/Routing'));
const AlertDetail = lazy(() => import('../pages/alerts/AlertDetail'));
const Alerts = lazy(() => import('../pages/alerts/Alerts'));

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A wrong query stays wrong; what is merely busy is asked again, twice.
      retry: (failures, error) =>
        failures < 2 &&
        error instanceof ApiError &&
        (error.kind === 'unreachable' || error.kind === 'unavailable'),
      retryDelay: (attempt) => 500 * 2 ** attempt,
      refetchOnWindowFocus: false,
      networkMode: 'always',
    },
  },
});

const colorSchemes = localStorageColorSchemeManager({ key: THEME_KEY });

/** Another path for the same page; what the URL says goes along. */
function MovedTo({ path }: { path: string }) {
  const [params] = useSearchParams();
  const text = params.toString();
  return <Navigate to={`${path}${text === '' ? '' : `?${text}`}`} replace />;
}

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" colorSchemeManager={colorSchemes}>
      <QueryClientProvider client={queries}>
        <BrowserRouter>
          <TimeProvider>
            <Shell>
              <ErrorBoundary>
                <Suspense fallback={<PageSkeleton />}>
                  <Routes>
                    <Route path="/" element={<MovedTo path="/overview" />} />
                    <Route path="/overview" element={<Overview />} />
                    <Route path="/explore" element={<Explore />} />
                    <Route path="/graph" element={<MovedTo path="/explore" />} />
                    <Route path="/query" element={<MovedTo path="/explore" />} />
                    <Route path="/targets" element={<Targets />} />
                    <Route path="/discovery" element={<Discovery />} />
                    <Route path="/push" element={<Push />} />
                    <Route path="/status" element={<Status />} />
                    <Route path="/rules" element={<Rules />} />
                    <Route path="/rules/try" element={<TryRule />} />
                    <Route path="/alerts" element={<Alerts />} />
                    <Route path="/alerts/:fingerprint" element={<AlertDetail />} />
                    <Route path="/silences" element={<Silences />} />
                    <Route path="/silences/new" element={<NewSilence />} />
                    <Route path="/silences/:id/edit" element={<EditSilence />} />
                    <Route path="/routing" element={<Routing />} />
                    <Route path="*" element={<NotFound />} />
                  </Routes>
                </Suspense>
              </ErrorBoundary>
            </Shell>
          </TimeProvider>
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  );
}
