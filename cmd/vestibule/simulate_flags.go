package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// simulation is what simulate is asked to do.
type simulation struct {
	tabs, replicas, sessions int
	rotation                 bool
	grace, latency           time.Duration
	tokenLife, duration      time.Duration
	mode, cache              string
	kill, json               bool
}

// Bounds of a simulation.
const (
	mostReplicas = 20
	mostSessions = 2000
	mostTabs     = 5000             // of all sessions together: each may hold two sockets of this process
	mostPeople   = 1000             // what the development provider holds
	mostAsked    = 400              // polls a second: a laboratory that is busy with itself measures itself
	slowestIDP   = 10 * time.Second // Vestibule gives up on an answer then
	longestRun   = time.Hour
	killAfter    = 2 * time.Second  // the tabs are at work by then
	killRun      = 60 * time.Second // how long a run with --kill takes by default: time to see what becomes of the sessions
	leastKillRun = 45 * time.Second
	leastLatency = 200 * time.Millisecond // for a kill in the middle of it
)

const simulateUsage = `vestibule simulate runs replicas, a provider that rotates refresh tokens, and browsers, all on this machine.

  --tabs 20            tabs of each session
  --sessions 1         browsers, each signed in once
  --replicas 3         replicas, each with its own listener and cache connection
  --rotation           the provider gives a new refresh token each time (--rotation=false: never)
  --grace 0s           how long a spent refresh token still works; 0s: never
  --idp-latency 3s     how long the provider takes for a refresh; it decides at once, the answer is what takes so long
  --token-life 20s     life of an access token; it is refreshed at half of it
  --mode cookie        or server
  --cache memory:      or redis://…, dynamodb://…, as cache.url
  --duration 30s       how long the tabs ask
  --kill               stop one replica in the middle of an answer to it
  --json               the report as JSON
`

// simulateFlag is one flag; value is nil for a switch.
type simulateFlag struct {
	set    func(text string) error
	toggle *bool
}

func (s *simulation) flags() map[string]simulateFlag {
	number := func(into *int, most int) simulateFlag {
		return simulateFlag{set: func(text string) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > most {
				return fmt.Errorf("%q is not a number from 1 to %d", clip(text), most)
			}
			*into = n
			return nil
		}}
	}
	span := func(into *time.Duration, least, most time.Duration) simulateFlag {
		return simulateFlag{set: func(text string) error {
			d, err := time.ParseDuration(text)
			if err != nil || d < least || d > most {
				return fmt.Errorf("%q is not a duration from %s to %s, such as 3s", clip(text), least, most)
			}
			*into = d
			return nil
		}}
	}
	word := func(into *string, known ...string) simulateFlag {
		return simulateFlag{set: func(text string) error {
			for _, k := range known {
				if text == k {
					*into = text
					return nil
				}
			}
			return fmt.Errorf("%q is neither %s", clip(text), strings.Join(known, " nor "))
		}}
	}
	return map[string]simulateFlag{
		"tabs": number(&s.tabs, mostTabs), "replicas": number(&s.replicas, mostReplicas), "sessions": number(&s.sessions, mostSessions),
		"rotation": {toggle: &s.rotation}, "kill": {toggle: &s.kill}, "json": {toggle: &s.json},
		"grace": span(&s.grace, 0, time.Hour), "idp-latency": span(&s.latency, 0, slowestIDP-time.Second),
		"token-life": span(&s.tokenLife, 2*time.Second, 24*time.Hour), "duration": span(&s.duration, time.Second, longestRun),
		"mode":  word(&s.mode, "cookie", "server"),
		"cache": {set: func(text string) error { s.cache = text; return nil }},
	}
}

// readSimulation reads the flags and refuses what would show nothing.
func readSimulation(args []string) (simulation, error) {
	s := simulation{
		tabs: 20, replicas: 3, sessions: 1, rotation: true, latency: 3 * time.Second, tokenLife: 20 * time.Second,
		mode: "cookie", cache: "memory:",
	}
	known := s.flags()
	lone := "" // the switch just before, which took no value
	for len(args) > 0 {
		name, text, inline := strings.Cut(args[0], "=")
		flag, ok := known[strings.TrimPrefix(name, "--")]
		if !ok || !strings.HasPrefix(name, "--") {
			return s, unknownArgument(args[0], lone)
		}
		args, lone = args[1:], ""
		if flag.toggle != nil && !inline {
			*flag.toggle, lone = true, name
			continue
		}
		if !inline {
			if len(args) == 0 {
				return s, hinted{fmt.Errorf("%s: the value is missing", name[2:]), `run "vestibule simulate --help"`}
			}
			text, args = args[0], args[1:]
		}
		if err := flag.take(text); err != nil {
			return s, hinted{fmt.Errorf("%s: %w", name[2:], err), `run "vestibule simulate --help"`}
		}
	}
	if s.duration == 0 {
		s.duration = 30 * time.Second
		if s.kill {
			s.duration = killRun
		}
	}
	return s, s.check()
}

// unknownArgument tells whoever wrote a switch's value as that of another flag how it is written.
func unknownArgument(argument, lone string) error {
	fault := fmt.Errorf("simulate does not know %q", clip(argument))
	if _, err := strconv.ParseBool(argument); err == nil && lone != "" {
		return hinted{fault, fmt.Sprintf("write %s=%s", lone, argument)}
	}
	return hinted{fault, `run "vestibule simulate --help"`}
}

func (f simulateFlag) take(text string) error {
	if f.toggle == nil {
		return f.set(text)
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", clip(text))
	}
	*f.toggle = on
	return nil
}

// check refuses combinations that would show nothing, or only that the laboratory is too small.
func (s simulation) check() error {
	switch {
	case s.sessions*s.tabs > mostTabs:
		return hinted{fmt.Errorf("tabs: %d sessions with %d tabs are %d tabs, more than %d", s.sessions, s.tabs, s.sessions*s.tabs, mostTabs),
			"take fewer sessions or fewer tabs: what matters is how many ask at one moment"}
	case s.grace > 0 && !s.rotation:
		return hinted{errors.New("grace: without rotation no refresh token is ever spent"), "leave --grace or --rotation=false out"}
	case s.tokenLife < 2*s.latency+2*time.Second:
		return hinted{fmt.Errorf("token-life: %s is too short for a provider that takes %s: tokens would be over when they come", s.tokenLife, s.latency),
			fmt.Sprintf("write --token-life %s or more, or a smaller --idp-latency", 2*s.latency+2*time.Second)}
	case s.duration < s.tokenLife/2+s.latency:
		return hinted{fmt.Errorf("duration: in %s nothing is refreshed", s.duration), fmt.Sprintf("write --duration %s or more", s.tokenLife+s.latency)}
	case s.kill && s.replicas < 2:
		return hinted{errors.New("kill: there is one replica, and nobody would be left"), "write --replicas 2 or more"}
	case s.kill && s.latency < leastLatency:
		return hinted{fmt.Errorf("kill: an answer that takes %s has no middle", s.latency), "write --idp-latency 3s"}
	case s.kill && s.duration < leastKillRun:
		return hinted{fmt.Errorf("kill: %s is too short to see who takes over from the replica that died", s.duration),
			fmt.Sprintf("write --duration %s or more: its lease is free after at most 25 s", leastKillRun)}
	}
	return nil
}

// every is how often a tab asks: once a second, or as often as this machine bears.
func (s simulation) every() time.Duration {
	return max(time.Second, time.Duration(s.sessions*s.tabs)*time.Second/mostAsked)
}

// cacheKind is the scheme of the cache.
func (s simulation) cacheKind() string {
	kind, _, _ := strings.Cut(s.cache, ":")
	return kind
}
