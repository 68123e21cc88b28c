package devidp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"
)

const (
	// browserLife is Cognito's: one hour from the sign-in, fixed.
	browserLife = time.Hour
	maxBrowsers = 1000
)

// browser is a signed-in browser: whose it is, under which public name, and since when.
type browser struct {
	sub, sid string
	authTime time.Time
}

// browsers holds the managed-login sessions.
type browsers struct {
	now  func() time.Time
	mu   sync.Mutex
	list *bounded[string, browser] // cookie value → session
}

func newBrowsers(now func() time.Time) *browsers {
	return &browsers{now: now, list: newBounded[string, browser](maxBrowsers)}
}

func (b *browsers) begin(sub string) (value string, session browser) {
	value, session = rand.Text(), browser{sub: sub, sid: randomUUID(), authTime: b.now()}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list.put(value, session)
	return value, session
}

func (b *browsers) find(value string) (browser, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.list.get(value)
	if ok && b.now().Sub(found.authTime) >= browserLife {
		b.list.drop(value)
		return browser{}, false
	}
	return found, ok
}

func (b *browsers) end(value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list.drop(value)
}

// cookieName carries the port, because cookies do not know ports: two providers on one host must not sign each
// other's browsers out.
func (s *Server) cookieName(kind string) string {
	u, err := url.Parse(s.base)
	if err != nil {
		return kind
	}
	return kind + "-" + u.Port()
}

// browserOf finds the session of the request's browser whose user may still sign in.
func (s *Server) browserOf(r *http.Request) (browser, bool) {
	c, err := r.Cookie(s.cookieName("cognito"))
	if err != nil {
		return browser{}, false
	}
	b, ok := s.browsers.find(c.Value)
	if !ok {
		return browser{}, false
	}
	_, active := s.users.active(b.sub)
	return b, active
}

func (s *Server) beginBrowser(w http.ResponseWriter, u User) browser {
	value, b := s.browsers.begin(u.Sub)
	s.setCookie(w, "cognito", value, int(browserLife/time.Second))
	return b
}

// endBrowser gives the session that has ended; false when there was none.
func (s *Server) endBrowser(w http.ResponseWriter, r *http.Request) (ended browser, ok bool) {
	if c, err := r.Cookie(s.cookieName("cognito")); err == nil {
		ended, ok = s.browsers.find(c.Value)
		s.browsers.end(c.Value)
	}
	s.setCookie(w, "cognito", "", -1)
	return ended, ok
}

// setCookie leaves Secure out: this is plain HTTP on loopback.
func (s *Server) setCookie(w http.ResponseWriter, kind, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(kind), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// csrfSeedShape is what rand.Text makes.
var csrfSeedShape = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// csrfToken is the hidden field of a form: a MAC over a cookie of this browser, made when the browser has none. The
// MAC keeps another service on this host, which can set cookies for us, from making a pair that fits.
func (s *Server) csrfToken(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(s.cookieName("csrf")); err == nil && csrfSeedShape.MatchString(c.Value) {
		return s.csrfMAC(c.Value)
	}
	seed := rand.Text()
	s.setCookie(w, "csrf", seed, int(browserLife/time.Second))
	return s.csrfMAC(seed)
}

func (s *Server) csrfMAC(seed string) string {
	mac := hmac.New(sha256.New, s.csrfKey)
	mac.Write([]byte(seed))
	return hex.EncodeToString(mac.Sum(nil))
}

// ownForm reports that a form was made for this browser.
func (s *Server) ownForm(r *http.Request) bool {
	c, err := r.Cookie(s.cookieName("csrf"))
	return err == nil && hmac.Equal([]byte(s.csrfMAC(c.Value)), []byte(r.PostForm.Get("_csrf")))
}
