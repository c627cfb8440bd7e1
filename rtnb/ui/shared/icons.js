// The icons of all widgets: on a grid of 24 for the round buttons, on a grid of 16 for the small ones.

const STROKE = 'fill="none" stroke="currentColor" stroke-linecap="round"';

const ICONS = {
  phone: `<path d="M6.6 10.8a15 15 0 0 0 6.6 6.6l2.2-2.2c.3-.3.7-.4 1-.2 1.2.4 2.4.6 3.6.6.6 0 1 .4 1 1V20c0 .6-.4 1-1 1A17 17 0 0 1 3 4
    c0-.6.4-1 1-1h3.5c.6 0 1 .4 1 1 0 1.3.2 2.5.6 3.6.1.4 0 .7-.3 1z"/>`,
  hangup: `<path d="M12 9c-1.6 0-3.2.3-4.6.7v3.1c0 .4-.2.7-.6.9-1 .5-1.9 1.1-2.7 1.9-.2.2-.4.3-.7.3-.3 0-.5-.1-.7-.3L.3 13.1a1 1 0 0 1-.3
    -.7c0-.3.1-.5.3-.7A17 17 0 0 1 12 7c4.5 0 8.7 1.8 11.7 4.7.2.2.3.4.3.7 0 .3-.1.5-.3.7l-2.5 2.5a1 1 0 0 1-.7.3c-.3 0-.5-.1-.7-.3
    -.8-.7-1.7-1.4-2.7-1.9a1 1 0 0 1-.6-.9V10C15.2 9.3 13.6 9 12 9z"/>`,
  microphone: `<path d="M12 14.5a3.5 3.5 0 0 0 3.5-3.5V5.5a3.5 3.5 0 0 0-7 0V11a3.5 3.5 0 0 0 3.5 3.5z"/>
    <path d="M18.5 10.5V11a6.5 6.5 0 0 1-13 0v-.5M12 17.5V21.5M8.5 21.5h7" ${STROKE} stroke-width="2"/>`,
  muted: `<path d="M15.5 11V5.5a3.5 3.5 0 0 0-6.8-1.2zM8.5 9.7V11a3.5 3.5 0 0 0 4.7 3.3z"/>
    <path d="M3.5 3.5l17 17M18.5 11a6.5 6.5 0 0 1-.8 3.1M5.5 11a6.5 6.5 0 0 0 9.5 5.8M12 17.5V21.5M8.5 21.5h7" ${STROKE}
    stroke-width="2"/>`,
  record: '<circle cx="12" cy="12" r="7"/>',
  stop: '<rect x="6" y="6" width="12" height="12" rx="2"/>',
  send: `<path d="M4 12h13M12 6.5l6 5.5-6 5.5" ${STROKE} stroke-width="2" stroke-linejoin="round"/>`,
  file: `<path d="M12 15.5V5M7.5 9L12 4.5 16.5 9M5 15v3.5A1.5 1.5 0 0 0 6.5 20h11a1.5 1.5 0 0 0 1.5-1.5V15" ${STROKE}
    stroke-width="2" stroke-linejoin="round"/>`,
  wait: `<path d="M12 3a9 9 0 1 0 9 9" ${STROKE} stroke-width="2.5"/>`,
};

const SMALL_ICONS = {
  up: "M8 2 3.5 6.5l1.1 1.1L7.2 5v7h1.6V5l2.6 2.6 1.1-1.1zM2 13h12v1.5H2z",
  play: "M4 2l10 6-10 6z",
  remove: "M3.6 2.5 8 6.9l4.4-4.4 1.1 1.1L9.1 8l4.4 4.4-1.1 1.1L8 9.1l-4.4 4.4-1.1-1.1L6.9 8 2.5 3.6z",
};

/** @param {keyof ICONS} name */
export const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="currentColor">${ICONS[name]}</svg>`;

/** @param {keyof SMALL_ICONS} name */
export const smallIcon = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${SMALL_ICONS[name]}"/></svg>`;
