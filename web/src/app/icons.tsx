// The icons, drawn here: a dozen strokes are not worth a package. All are decoration; words stand beside them or
// in the control's label.
import type { ReactNode } from 'react';

interface IconProps {
  size?: number;
}

function draw(paths: ReactNode) {
  return function Icon({ size = 18 }: IconProps) {
    return (
      <svg
        width={size}
        height={size}
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth={1.8}
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
        style={{ flexShrink: 0, display: 'block' }}
      >
        {paths}
      </svg>
    );
  };
}

export const IconOverview = draw(
  <>
    <rect x="3.5" y="3.5" width="7" height="9" rx="1.5" />
    <rect x="13.5" y="3.5" width="7" height="5" rx="1.5" />
    <rect x="13.5" y="11.5" width="7" height="9" rx="1.5" />
    <rect x="3.5" y="15.5" width="7" height="5" rx="1.5" />
  </>,
);
export const IconDiscovery = draw(
  <>
    <circle cx="12" cy="12" r="2.5" />
    <circle cx="5" cy="5.5" r="2" />
    <circle cx="19" cy="5.5" r="2" />
    <circle cx="12" cy="20" r="2" />
    <path d="M10.2 10.3 6.5 7M13.8 10.3 17.5 7M12 14.5V18" />
  </>,
);
export const IconExplore = draw(
  <>
    <path d="M3.5 3.5v15a2 2 0 0 0 2 2h15" />
    <path d="M7 15l4-5 3.5 3L20 6.5" />
  </>,
);
export const IconRules = draw(
  <>
    <path d="M4 6.5l1.5 1.5L8.5 5M4 13l1.5 1.5L8.5 11.5M4 19.5h4" />
    <path d="M12 6.5h8.5M12 13h8.5M12 19.5h8.5" />
  </>,
);
export const IconTargets = draw(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <circle cx="12" cy="12" r="4.2" />
    <circle cx="12" cy="12" r="0.6" fill="currentColor" />
  </>,
);
export const IconPush = draw(
  <>
    <path d="M12 3.5v10M8 9.7l4 4 4-4" />
    <path d="M4 14.5V18a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3.5" />
  </>,
);
export const IconAlerts = draw(
  <>
    <path d="M6 16.5V11a6 6 0 1 1 12 0v5.5l1.5 1.5h-15z" />
    <path d="M10 20.5h4" />
  </>,
);
export const IconSilences = draw(
  <>
    <path d="M6 16.5V11a6 6 0 0 1 9.8-4.6M18 11v5.5l1.5 1.5H9" />
    <path d="M10 20.5h4M4 3.5l16.5 17" />
  </>,
);
export const IconRouting = draw(
  <>
    <circle cx="5" cy="12" r="2" />
    <circle cx="19" cy="5.5" r="2" />
    <circle cx="19" cy="18.5" r="2" />
    <path d="M7 12h3.5c3 0 2-6.5 6.5-6.5M10.5 12c3 0 2 6.5 6.5 6.5" />
  </>,
);
export const IconStatus = draw(
  <>
    <rect x="3.5" y="4" width="17" height="6.5" rx="1.5" />
    <rect x="3.5" y="13.5" width="17" height="6.5" rx="1.5" />
    <path d="M7.5 7.2h.01M7.5 16.7h.01M11 7.2h5M11 16.7h5" />
  </>,
);
export const IconSearch = draw(
  <>
    <circle cx="10.5" cy="10.5" r="6" />
    <path d="M15 15l5 5" />
  </>,
);
export const IconSun = draw(
  <>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
  </>,
);
export const IconMoon = draw(<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" />);
export const IconAuto = draw(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" />
  </>,
);
export const IconRefresh = draw(
  <>
    <path d="M20 11a8 8 0 1 0-2.2 6.6" />
    <path d="M20.5 5v6h-6" />
  </>,
);
export const IconLeft = draw(<path d="M14.5 6l-6 6 6 6" />);
export const IconRight = draw(<path d="M9.5 6l6 6-6 6" />);
export const IconDown = draw(<path d="M6 9.5l6 6 6-6" />);
export const IconZoomOut = draw(
  <>
    <circle cx="10.5" cy="10.5" r="6" />
    <path d="M15 15l5 5M7.8 10.5h5.4" />
  </>,
);
export const IconKeys = draw(
  <>
    <rect x="2.5" y="6" width="19" height="12" rx="2" />
    <path d="M6 10h.01M9.5 10h.01M13 10h.01M16.5 10h.01M7.5 14h9" />
  </>,
);
export const IconPlus = draw(<path d="M12 5v14M5 12h14" />);
export const IconClose = draw(<path d="M6 6l12 12M18 6L6 18" />);
export const IconStar = draw(
  <path d="M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z" />,
);
export const IconStarFull = draw(
  <path fill="currentColor" d="M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z" />,
);
export const IconHistory = draw(
  <>
    <path d="M4 12a8 8 0 1 0 2.6-5.9" />
    <path d="M3.5 4v4h4M12 8v4.5l3 2" />
  </>,
);
export const IconCopy = draw(
  <>
    <rect x="8.5" y="8.5" width="12" height="12" rx="2" />
    <path d="M15.5 8.5v-3a2 2 0 0 0-2-2h-8a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h3" />
  </>,
);
export const IconCheck = draw(<path d="M5 12.5l4.5 4.5L19 7.5" />);
export const IconWarning = draw(
  <>
    <path d="M12 4l9 16H3z" />
    <path d="M12 10v4.5M12 17.3h.01" />
  </>,
);
export const IconClock = draw(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 7v5.2l3.4 2" />
  </>,
);
export const IconMore = draw(<path d="M5 12h.01M12 12h.01M19 12h.01" />);
export const IconPlay = draw(<path d="M7 4.5l12 7.5-12 7.5z" fill="currentColor" />);
