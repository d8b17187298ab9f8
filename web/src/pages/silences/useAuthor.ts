// Who sits here: what silences and acknowledgements are signed with. Kept in this browser.
import { useLocalStorage } from '@mantine/hooks';

export function useAuthor(): [string, (author: string) => void] {
  const [author, setAuthor] = useLocalStorage({
    key: 'kymo-author',
    defaultValue: '',
    getInitialValueInEffect: false,
  });
  return [author, setAuthor];
}
