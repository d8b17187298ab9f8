import { Anchor, Text } from '@mantine/core';
import { Link, useLocation } from 'react-router';

export function NotFound() {
  const { pathname } = useLocation();
  return (
    <div className="panel banner">
      <Text>
        There is no page at <code>{pathname}</code>.
      </Text>
      <Anchor component={Link} to="/overview">
        To the overview
      </Anchor>
    </div>
  );
}
