package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vestibule/lab"
)

// text is the report for people, and what docs/scale.md quotes.
func (r report) text() string {
	var b strings.Builder
	s := r.Setting
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "  %-10s%s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%d replicas in %s mode; %s, %d tabs each, for %.0f s\n", r.Replicas, s.Mode, count(r.Sessions, "session"), r.Tabs, r.Seconds)
	line("cache", "%s", cacheNote(s.Cache))
	line("provider", "%s; takes %s for a refresh; tokens live %s", rotationNote(s), s.Latency, s.TokenLife)
	if r.Killed {
		line("killed", "one replica, in the middle of an answer to it: %s cut off, %s lost", count(r.CutOff, "request"), count(r.Lost, "answer"))
	}
	b.WriteString("\n")
	line("requests", "%d: 200 %d, 401 %d, 503 %d, others %d", r.Requests, r.OK, r.Unauthorized, r.Unavailable, r.Failed)
	line("refreshes", "%d asked at the provider, %d expected: %d asked twice, %d again after an answer was lost; %d reuses seen by the provider",
		r.Refreshes, r.Expected, r.Twice, r.Again, r.Reuses)
	if r.Undecided > 0 {
		line("", "%d were never decided: whoever asked was gone first, or the provider failed", r.Undecided)
	}
	line("sign-outs", "%s", r.signOuts())
	line("waited", "%s", timesNote(r.Waited))
	line("prompt", "%s", timesNote(r.Prompt))
	line("cookie", "%d bytes for each session", r.CookieBytes)
	line("in cache", "%d bytes for each session%s", r.Cache.Bytes, kindsNote(r.Cache.Kinds))
	line("calls", "%.2f to the cache for each request (%s); %d without an answer", r.Cache.PerAnswer, callsNote(r.Cache.Calls), r.Cache.Faults)
	b.WriteString("\n")
	if r.Cache.Faults > 0 {
		fmt.Fprintf(&b, "note: the cache left %s without an answer, and replicas that cannot ask each other refresh on their own\n", count(r.Cache.Faults, "call"))
	}
	faults := r.faults()
	if len(faults) == 0 {
		fmt.Fprintf(&b, "good: %s\n", r.praise())
		return b.String()
	}
	fmt.Fprintf(&b, "bad: %s\n", strings.Join(faults, "; "))
	return b.String()
}

func (r report) praise() string {
	switch {
	case r.Excused > 0:
		return fmt.Sprintf("%s signed out, whose tokens died with the replica that had asked for them: %s; all others live",
			count(r.Excused, "session was", "sessions were"), forgivenessNote(r.Setting))
	case r.Killed:
		return "a replica died, and nobody was signed out"
	}
	return "nothing was refreshed twice, and nobody was signed out"
}

// forgivenessNote is why a sign-out is excused: only where the provider rotates, and its grace is shorter than taking over takes.
func forgivenessNote(s setting) string {
	if s.Grace == "0s" {
		return "the provider forgives nothing"
	}
	return "a grace of " + s.Grace + " may be over before another replica takes over"
}

func (r report) signOuts() string {
	if r.SignedOut == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, of which %d lost with a replica that was killed; %d still out at the end", r.SignedOut, r.Excused, r.StillOut)
}

func cacheNote(kind string) string {
	if kind == "memory" {
		return "memory, which the replicas share because they are one process here"
	}
	return kind + ", one connection pool for each replica"
}

func rotationNote(s setting) string {
	switch {
	case !s.Rotation:
		return "no rotation"
	case s.Grace == "0s":
		return "rotates refresh tokens, no grace"
	}
	return "rotates refresh tokens, " + s.Grace + " of grace"
}

func timesNote(t lab.Times) string {
	return fmt.Sprintf("%s: p50 %.1f ms, p99 %.1f ms, slowest %.1f ms", count(t.Count, "answer"), t.P50, t.P99, t.Most)
}

func kindsNote(kinds map[string]kindSummary) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%s %d × %d", name, kinds[name].Entries, kinds[name].Bytes))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func callsNote(calls map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, calls[name]))
	}
	return strings.Join(parts, ", ")
}

// count is a number with its word: one word takes an s, or two are given.
func count(n int, words ...string) string {
	if n == 1 {
		return "1 " + words[0]
	}
	return fmt.Sprintf("%d %s", n, words[len(words)-1]) + map[bool]string{true: "s"}[len(words) == 1]
}
