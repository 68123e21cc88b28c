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

// instant is a moment as all languages can read it, and toTheSecond as machines do.
func instant(t time.Time) string     { return t.UTC().Format("2006-01-02 15:04") + " UTC" }
func toTheSecond(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// nth makes an element's id.
func nth(what string, i int) string { return what + "-" + strconv.Itoa(i+1) }
