package views

import (
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
)

// Sessions is what the page of one's own sessions shows.
type Sessions struct {
	SignedInAs string // "" hides it
	List       []Device
	Done       Done   // what the person has just done here
	Action     string // target of the POSTs that end sessions on the list
	SignOutURL string // target of the POSTs that end the session of this browser, and with the field everywhere all of them
	HomeURL    string // "" hides it
	Languages  []LanguageLink
}

// Device is one browser that is signed in.
type Device struct {
	ID              string    // sent as the form field end
	Browser, System string    // "" where that is not known
	Started, Seen   time.Time // shown in UTC: nobody knows here where the person is; zero hides it
	Current         bool      // it is the browser that asks
}

// Done is what the page says has been done. It is a code, so that a link can make the page say nothing of its own.
type Done string

// What can have been done.
const (
	DoneOne    Done = "one"    // a session that was chosen is over
	DoneOthers Done = "others" // all but this one are over; said only while that is so
)

// Sessions is the page of one's own sessions.
func (v *Views) Sessions(l Language, d Sessions) templ.Component {
	p := v.page(l, func(t *texts) string { return t.SessionsTitle })
	p.wide = true
	return sessions(p, d)
}

// done is what the page says aloud; "" is nothing.
func (d Sessions) done(t *texts) string {
	switch {
	case d.Done == DoneOne:
		return t.EndedOne
	case d.Done == DoneOthers && !d.others():
		return t.EndedOthers
	}
	return ""
}

// others says whether any other browser is signed in.
func (d Sessions) others() bool {
	for _, s := range d.List {
		if !s.Current {
			return true
		}
	}
	return false
}

// name is what the page calls the device, in the order of its language.
func (d Device) name(t *texts) string {
	switch {
	case d.Browser != "" && d.System != "":
		return strings.NewReplacer(browserHere, d.Browser, systemHere, d.System).Replace(t.DeviceOn)
	case d.Browser != "" || d.System != "":
		return d.Browser + d.System
	}
	return t.UnknownDevice
}

// callsItsButton names the elements of the i-th row that its button is called by: first what it does, as it stands on it (WCAG 2.5.3), then
// what tells this device from others of its kind, among which only one is in use here (2.4.6).
func (d Device) callsItsButton(i int) string {
	ids := []string{nth("end", i), nth("device", i)}
	if d.Current {
		ids = append(ids, nth("current", i))
	}
	if !d.Started.IsZero() {
		ids = append(ids, nth("started", i))
	}
	return strings.Join(ids, " ")
}

// alike says whether two devices are of one kind and signed in within the same unit of time: then their rows say the same to that precision.
func (d Device) alike(other Device, unit time.Duration) bool {
	sameKind := d.Browser == other.Browser && d.System == other.System
	return sameKind && d.Started.Truncate(unit).Equal(other.Started.Truncate(unit))
}

// needsSecond says whether the minute of its sign-in does not tell the i-th device from another.
func (d Sessions) needsSecond(i int) bool {
	for j, other := range d.List {
		if j != i && other.alike(d.List[i], time.Minute) {
			return true
		}
	}
	return false
}

// name is that of the i-th device, with a number where not even the second tells it from one above.
func (d Sessions) name(i int, t *texts) string {
	name, number := d.List[i].name(t), 1
	for _, above := range d.List[:i] {
		if above.alike(d.List[i], time.Second) {
			number++
		}
	}
	if number > 1 {
		name += " (" + strconv.Itoa(number) + ")"
	}
	return name
}

// instant is a moment as all languages can read it, with its second where that matters, and toTheSecond as machines do.
func instant(t time.Time, exact bool) string {
	if exact {
		return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
	}
	return t.UTC().Format("2006-01-02 15:04") + " UTC"
}

func toTheSecond(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// nth makes an element's id.
func nth(what string, i int) string { return what + "-" + strconv.Itoa(i+1) }
