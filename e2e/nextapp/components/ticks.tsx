"use client";

import { useEffect, useState } from "react";

// Server-sent events from a route handler of this application.
export function Ticks() {
  const [heights, setHeights] = useState<string[]>([]);
  useEffect(() => {
    const source = new EventSource("/api/ticks");
    source.onmessage = ({ data }) => setHeights((all) => [...all, data]);
    source.addEventListener("end", () => source.close());
    return () => source.close();
  }, []);
  return <ul data-testid="ticks">{heights.map((height, i) => <li key={i}>{height}</li>)}</ul>;
}
