"use client";

import { useEffect, useRef, useState } from "react";
import type { TokenProvider } from "aws-amplify/auth";
import { Hub } from "aws-amplify/utils";
import { events, type EventsChannel } from "aws-amplify/data";
import { configure } from "./amplify";

type Message = { from: string; text: string; by: string };
type Props = { endpoint: string; name: string; channels: number; provider?: TokenProvider };

const channelName = (i: number) => (i === 0 ? "default/quay" : `default/quay/${i}`);

export function Chat({ endpoint, name, channels, provider }: Props) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [state, setState] = useState("Connecting");
  const [trouble, setTrouble] = useState("");
  const first = useRef<EventsChannel | null>(null);

  useEffect(() => {
    configure(endpoint, provider);
    let over = false;
    const opened: EventsChannel[] = [];
    const unlisten = Hub.listen("api", ({ payload }) => {
      if (payload.event === "ConnectionStateChange") setState((payload.data as { connectionState: string }).connectionState);
    });
    const open = async () => {
      for (let i = 0; i < channels && !over; i++) {
        const channel = await events.connect(channelName(i));
        if (over) return channel.close();
        opened.push(channel);
        first.current ??= channel;
        channel.subscribe({
          next: ({ event }: { event: Message }) => setMessages((all) => [...all, event].slice(-50)),
          error: (error) => setTrouble(String(error)),
        });
      }
    };
    open().catch((error) => setTrouble(String(error)));
    return () => {
      over = true;
      unlisten();
      first.current = null;
      for (const channel of opened) channel.close();
    };
  }, [endpoint, channels, provider]);

  const say = async (form: FormData) => {
    const by = String(form.get("by"));
    const message: Message = { from: name, text: String(form.get("text")), by };
    try {
      if (by === "HTTP") await events.post(channelName(0), message);
      else await first.current?.publish(message);
      setTrouble("");
    } catch (error) {
      setTrouble(String(error));
    }
  };

  return (
    <section className="card chat" aria-labelledby="channel">
      <h1 id="channel">Channel 12</h1>
      <p role="status" className="state" data-state={state} data-testid="state">{state}</p>
      <ol data-testid="messages" aria-live="polite">
        {messages.map(({ from, text, by }, i) => (
          <li key={i} className={from === name ? "mine" : undefined}>
            <span className="from">{from} by {by}</span>
            {text}
          </li>
        ))}
      </ol>
      {trouble && <p role="alert" data-testid="trouble">{trouble}</p>}
      <form action={say} className="line">
        <span className="field wide">
          <label htmlFor="text">Message</label>
          <input id="text" name="text" required maxLength={500} autoComplete="off" />
        </span>
        <span className="field">
          <label htmlFor="by">Sent by</label>
          <select id="by" name="by" defaultValue="WebSocket">
            <option>WebSocket</option>
            <option>HTTP</option>
          </select>
        </span>
        <button>Send</button>
      </form>
    </section>
  );
}
