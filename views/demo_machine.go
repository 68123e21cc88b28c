package views

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// DemoMachine is what the demo's page about machine tokens shows. It has no script: its button is a form's.
type DemoMachine struct {
	HomeURL     string        // of the demo's first page
	MachineURL  string        // of this page
	BurstURL    string        // target of a POST without fields, which sends a burst
	ProviderURL string        // the demo provider's issuer; "" hides it
	Size        int           // requests in a burst
	AtOnce      int           // so many of them at a time
	AccessLife  time.Duration // how long the provider's access tokens live
	Bursts      []DemoBurst   // newest first
}

// DemoBurst is what came of one burst of requests for a token. Each request is one of Asked, Waited, Hit and Failed.
type DemoBurst struct {
	Number int // from 1
	Asked  int // the provider was asked for it
	Waited int // it waited while the provider was asked for another
	Hit    int // answered from memory
	Failed int // it got no token
	Calls  int // what the provider counted meanwhile
	Tokens int // how many different ones were handed out
	// First and Last are how long the answers to the first and the last request took, Median is the middle one of all; zero if nobody
	// got a token.
	First, Median, Last time.Duration
	ExpiresIn           time.Duration // as the last answer says it
}

// DemoMachine is the demo's page about machine tokens, in English only. It needs nothing in its PagePolicy.
func (v *Views) DemoMachine(d DemoMachine) templ.Component {
	title := "Machine tokens"
	if len(d.Bursts) > 0 {
		// A page that was loaded anew is read out by its title first: it tells what came of the press.
		title = d.Bursts[0].headline()
	}
	return demoMachine(v.page(v.languages.all[0], func(*texts) string { return title }), d)
}

// headline tells a burst in one line.
func (b DemoBurst) headline() string {
	return plural(b.served(), "token") + ", " + plural(b.Calls, "call") + " to the provider"
}

func (b DemoBurst) served() int { return b.Asked + b.Waited + b.Hit }

func (b DemoBurst) sent() int { return b.served() + b.Failed }

// meaning is what a burst shows, where its numbers might not say it.
func (b DemoBurst) meaning() string {
	switch {
	case b.served() == 0:
		return "The provider gave no token, and none is held that still lives."
	case b.Failed > 0:
		return "The provider gave no token for a while, and none was held that still lived: some got nothing."
	case b.Calls == 0:
		return "The token of before still lives, so the provider heard nothing of this."
	case b.Asked == 0:
		return "The token was renewed ahead of its end, in the background: nobody waited for that."
	case b.Waited > 0:
		return "One asked. Who came before the answer was there waited for it, and asked nobody."
	}
	return "One asked; the others were given what it got."
}

// demoDots is one kind of dot, and how many there are.
type demoDots struct {
	class  string
	count  int
	label  string
	testID string
}

// dots are the kinds that the picture shows, in its order.
func (b DemoBurst) dots() []demoDots {
	all := []demoDots{
		{"asked", b.Asked, "asked the provider", "dots-asked"},
		{"waited", b.Waited, "waited for that answer", "dots-waited"},
		{"failed", b.Failed, "got no token", "dots-failed"},
		{"hit", b.Hit, "answered from memory", "dots-hit"},
	}
	return slices.DeleteFunc(all, func(d demoDots) bool { return d.count == 0 })
}

// inWords is the picture for who does not see it.
func (b DemoBurst) inWords() string {
	s := thousands(b.sent()) + " dots, one for each request"
	for _, d := range b.dots() {
		s += "; " + thousands(d.count) + " " + d.label
	}
	return s
}

// The picture: so many dots in a row, so far apart, in units of its own.
const (
	dotColumns = 50
	dotPitch   = 10
)

// dotField is the picture's view box for so many dots.
func dotField(n int) string {
	return fmt.Sprintf("0 0 %d %d", dotColumns*dotPitch, (n+dotColumns-1)/dotColumns*dotPitch)
}

// dot is one dot that is drawn by itself. Those from memory are a pattern below the others: the page would be ten times as long.
type dot struct {
	class string
	x, y  string // its middle
}

func (b DemoBurst) drawn() (out []dot) {
	middle := func(cell int) string { return strconv.Itoa(cell*dotPitch + dotPitch/2) }
	for _, kind := range b.dots() {
		if kind.class == "hit" {
			continue
		}
		for range kind.count {
			out = append(out, dot{kind.class, middle(len(out) % dotColumns), middle(len(out) / dotColumns)})
		}
	}
	return out
}

// thousands is a count as English writes it.
func thousands(n int) string { return message.NewPrinter(language.English).Sprint(n) }

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}

// milliseconds is a time with as many digits as say something.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 9.95 {
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
}
