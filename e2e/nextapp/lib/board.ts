import "server-only";

const KEPT = 5; // notes of one person
const board = new Map<string, string[]>(); // subject → notes, newest last

export const notesOf = (sub: string): readonly string[] => board.get(sub) ?? [];

export function pin(sub: string, note: string) {
  if (note.trim() !== "") board.set(sub, [...notesOf(sub), note].slice(-KEPT));
}
