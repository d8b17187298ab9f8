// What people wrote about an alert; addresses (runbooks, dashboards) can be followed.
import { Anchor } from '@mantine/core';
import { Fragment } from 'react';

import type { Labels } from '../../lib/labels';

export function Annotations({
  annotations,
  without = [],
}: {
  annotations: Labels;
  without?: readonly string[];
}) {
  return Object.entries(annotations)
    .filter(([name]) => !without.includes(name))
    .map(([name, text]) => (
      <Fragment key={name}>
        <dt>{name}</dt>
        <dd className="wrap-anywhere annotation">
          {/^https?:\/\/\S+$/.test(text) ? (
            <Anchor href={text} target="_blank" rel="noreferrer" inherit>
              {text}
            </Anchor>
          ) : (
            text
          )}
        </dd>
      </Fragment>
    ));
}
