// Builds the pages into dist/: index.html and /assets/*, nothing else, so that the server can embed them
// and serve assets as immutable. In development the server named by KYMO_URL answers the API.
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = process.env['KYMO_URL'] ?? 'http://127.0.0.1:9090';

export default defineConfig({
  base: '/',
  plugins: [react()],
  build: {
    target: 'es2022',
    assetsDir: 'assets',
    // Files inlined as data: URLs would need a wider content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    reportCompressedSize: true,
  },
  server: {
    port: 5173,
    proxy: { '/api': server, '/-/': server, '/metrics': server },
  },
  preview: {
    proxy: { '/api': server, '/-/': server, '/metrics': server },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts', 'src/**/*.test.tsx'],
  },
});
