package views

import "github.com/a-h/templ"

// Login is what the sign-in page shows.
type Login struct {
	SignInURL string
	SignUpURL string // "" hides it
	// SignedInAs names who is signed in; "" where nobody is. With it the page offers ContinueURL and signing out
	// instead of signing in.
	SignedInAs  string
	ContinueURL string
	SignOutURL  string // target of a POST; "" hides it
	Languages   []LanguageLink
}

// SignedOut is what the page after signing out shows.
type SignedOut struct {
	SignInURL string
	HomeURL   string // "" hides it
}

// ConfirmSignOut is what the page shows that asks before signing out: because the request may not have been the user's own, or because it
// is about all devices.
type ConfirmSignOut struct {
	SignedInAs string // "" hides it
	Action     string // target of the POST that signs out
	ReturnTo   string // sent along as the form field returnTo; "" sends none
	Everywhere bool   // it is about all devices; sent along as everywhere=true
	CancelURL  string
}

// MovingOn is a page that goes on to Target by itself. It stands in for a redirect where a redirect would arrive
// without cookies of SameSite=Strict.
type MovingOn struct {
	Target string
}

// Login is the page that offers to sign in, or to go on for who is signed in already.
func (v *Views) Login(l Language, d Login) templ.Component {
	if d.SignedInAs != "" {
		return loginSignedIn(v.page(l, func(t *texts) string { return t.LoginSignedInTitle }), d)
	}
	return login(v.page(l, func(t *texts) string { return t.LoginTitle }), d)
}

// SignedOut is the page after signing out.
func (v *Views) SignedOut(l Language, d SignedOut) templ.Component {
	return signedOut(v.page(l, func(t *texts) string { return t.SignedOutTitle }), d)
}

// ConfirmSignOut is the page that asks before signing out.
func (v *Views) ConfirmSignOut(l Language, d ConfirmSignOut) templ.Component {
	if d.Everywhere {
		return confirmSignOut(v.page(l, func(t *texts) string { return t.EverywhereTitle }), d)
	}
	return confirmSignOut(v.page(l, func(t *texts) string { return t.ConfirmTitle }), d)
}

// MovingOn is the page that goes on by itself.
func (v *Views) MovingOn(l Language, d MovingOn) templ.Component {
	return movingOn(v.page(l, func(t *texts) string { return t.MovingOnTitle }), d)
}

// Error is the page that says what went wrong and what can be done.
func (v *Views) Error(l Language, d Error) templ.Component {
	said := d.Kind.wording(v.languages.texts(l))
	return failed(v.page(l, func(*texts) string { return said.title }), said, d)
}
