// Where the pages begin.
import '@mantine/core/styles.layer.css';
import 'uplot/dist/uPlot.min.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app/App';
import './app/theme.css';

const root = document.getElementById('root');
if (root === null) throw new Error('BUG: index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
