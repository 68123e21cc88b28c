package views

import (
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
	TokenURL   string // the token endpoint, on this page's own origin
	Users      []DemoUser
	AccessLife time.Duration // how long the provider's access tokens live
	// ProviderURL is the demo provider's issuer; "" hides it.
	ProviderURL string
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

// testID is the data-testid of a claim's value: the browser tests look for the e-mail address.
func (c Claim) testID() string {
	if c.Name == "email" {
		return "user-email"
	}
	return "claim-" + c.Name
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
