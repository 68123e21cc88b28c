// The log of the demo's page: a live region, so its lines must stay rare enough to be listened to.

const LINES = 100;

// createLog gives write(text, kind) for a scrolling box and the list in it. The kind is good, trouble or nothing.
export function createLog(box, list) {
  return function write(text, kind) {
    const now = new Date();
    const line = document.createElement("li");
    const time = document.createElement("time");
    const message = document.createElement("span");
    time.dateTime = now.toISOString();
    time.textContent = clock(now);
    message.textContent = text;
    if (kind) message.className = kind;
    line.append(time, message);
    list.append(line);
    while (list.children.length > LINES) list.firstElementChild.remove();
    box.scrollTop = box.scrollHeight;
  };
}

// clock is a time of day, to the second.
export function clock(date) {
  return date.toLocaleTimeString("en-GB");
}
