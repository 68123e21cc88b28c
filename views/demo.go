package views

import (
	"cmp"
	"net/url"
	"strconv"
	"time"

	"github.com/a-h/templ"
)

// Demo is what the page at the root of "vestibule demo" shows. That page is in English only, as its log is.
type Demo struct {
	SignedIn   bool
	User       []Claim // who is signed in; email is picked out where it is among them
	SignInURL  string
	SignOutURL string // target of a POST
	SessionURL string // where the session's state can be read
	// SessionsURL is the page of one's own sessions; "" where there is none.
	SessionsURL string
	AuthURL     string // what the sign-in and sign-out routes lie below
	TokenURL    string // the token endpoint, on this page's own origin
	Users       []DemoUser
	AccessLife  time.Duration // how long the provider's access tokens live
	// ProviderURL is the demo provider's issuer; "" hides it.
	ProviderURL string
	// HomeURL is this page's address, and MachineURL that of the page about machine tokens; "" hides the way there.
	HomeURL, MachineURL string
	// EventsURL is the HTTP endpoint of the live channel's server, and RealtimeURL where its socket opens: ws or wss. The second
	// must be in PagePolicy.Connect.
	EventsURL, RealtimeURL string
}

// Claim is one fact about who is signed in.
type Claim struct{ Name, Value string }

// DemoUser is somebody to sign in as.
type DemoUser struct{ Email, Password string }

// Demo is the demo's page. It needs PagePolicy.Scripts, and the provider's origin in PagePolicy.FormAction.
func (v *Views) Demo(_ Language, d Demo) templ.Component {
	english := v.languages.all[0]
	title := func(*texts) string { return "Demo" }
	if d.SignedIn {
		return demoSignedIn(v.page(english, title), d)
	}
	return demoSignedOut(v.page(english, title), d)
}

// demoPlace is one page of the demo among the others.
type demoPlace struct {
	home, machine, provider string // addresses; as in Demo
	atMachine               bool
}

func (d Demo) place() demoPlace {
	return demoPlace{home: d.HomeURL, machine: d.MachineURL, provider: d.ProviderURL}
}

// testID is the data-testid of a claim's value: the browser tests look for the e-mail address.
func (c Claim) testID() string {
	if c.Name == "email" {
		return "user-email"
	}
	return "claim-" + c.Name
}

// speaker is the name under which the person who is signed in speaks on the channel.
func (d Demo) speaker() string {
	return cmp.Or(legible(d.claim("email")), legible(d.claim("name")), d.claim("sub"), "somebody")
}

// claim is the value of one of the claims; "" without it.
func (d Demo) claim(name string) string {
	for _, c := range d.User {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// seconds is a duration as the demo's script reads it.
func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// within is an address below another, whether or not that ends with a slash; "" where it cannot be read.
func within(base string, elements ...string) string {
	joined, err := url.JoinPath(base, elements...)
	if err != nil {
		return ""
	}
	return joined
}
