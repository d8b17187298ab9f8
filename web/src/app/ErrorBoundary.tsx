// A fault of a page stays on that page; the rail and the others go on.
import { Button } from '@mantine/core';
import { Component, type ReactNode } from 'react';

interface State {
  error: Error | null;
}

export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const chunk = /dynamically imported module|Importing a module|Failed to fetch/.test(error.message);
    return (
      <div className="panel banner" role="alert">
        <p>
          <strong>{chunk ? 'This page could not be loaded.' : 'This page has a fault.'}</strong>
        </p>
        <p className="quiet wrap-anywhere">
          {chunk
            ? 'The server may have been updated or stopped. Loading the page anew helps once it runs.'
            : error.message}
        </p>
        <Button size="xs" onClick={() => window.location.reload()}>
          Load again
        </Button>
      </div>
    );
  }
}
