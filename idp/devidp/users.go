package devidp

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"sync"
)

// Limits of the user pool.
const (
	maxUsers    = 1000
	maxEmail    = 254 // characters, RFC 5321 section 4.5.3.1.3
	maxName     = 200 // bytes
	minPassword = 8   // characters, for those who sign up
	maxPassword = 256 // Cognito's limit
)

// Reasons why a user cannot be added; each is a line that the sign-up page knows.
var (
	errUserExists   = errors.New("a user with this e-mail address exists")
	errUserDetails  = errors.New("the e-mail address, name or password is not acceptable")
	errTooManyUsers = errors.New("the development provider holds its limit of users")
)

// User is someone who can sign in.
type User struct {
	// Sub is the subject and the user name. Default: a UUID derived from Email, the same at every start.
	Sub string
	// Email is what is typed into the form. Required; compared without regard to case.
	Email string
	// EmailUnverified makes email_verified false.
	EmailUnverified bool
	// Name is the name claim.
	Name string
	// Password is kept as it is. This is a development provider.
	Password string
	// Groups become cognito:groups in both tokens; absent when empty, as in Cognito.
	Groups []string
	// Attributes become string claims of the ID token, for example "custom:tenant".
	Attributes map[string]string
}

// DemoUsers are the two who exist when nobody else is configured. Their passwords are public and easy to type.
func DemoUsers() []User {
	return []User{
		{
			Email: "alice@example.com", Name: "Alice Liddell", Password: "wonderland",
			Groups: []string{"admins"}, Attributes: map[string]string{"given_name": "Alice", "family_name": "Liddell"},
		},
		{
			Email: "bruno@example.com", Name: "Bruno Carvalho", Password: "mangrove",
			Groups: []string{"readers"}, Attributes: map[string]string{"given_name": "Bruno", "family_name": "Carvalho"},
		},
	}
}

// account is a user and whether he may sign in.
type account struct {
	User
	disabled bool
}

// users is the user pool.
type users struct {
	mu      sync.RWMutex
	byEmail map[string]*account // lower-case e-mail → account
	bySub   map[string]*account // sub → the same account
	order   []string            // subs as they were added
}

func newUsers(list []User) (*users, error) {
	p := &users{byEmail: map[string]*account{}, bySub: map[string]*account{}}
	for _, u := range list {
		if _, err := p.add(u); err != nil {
			return nil, fmt.Errorf("%w: user %q: %w", ErrConfig, u.Email, err)
		}
	}
	return p, nil
}

func (p *users) add(u User) (User, error) {
	if !acceptable(u) {
		return User{}, errUserDetails
	}
	if u.Sub == "" {
		sum := sha256.Sum256([]byte("subject of " + strings.ToLower(u.Email)))
		u.Sub = uuid(sum[:16])
	}
	a := &account{User: clone(u)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byEmail[strings.ToLower(u.Email)] != nil || p.bySub[u.Sub] != nil {
		return User{}, errUserExists
	}
	if len(p.bySub) >= maxUsers {
		return User{}, errTooManyUsers
	}
	p.byEmail[strings.ToLower(u.Email)], p.bySub[u.Sub] = a, a
	p.order = append(p.order, u.Sub)
	return clone(u), nil
}

func acceptable(u User) bool {
	addr, err := mail.ParseAddress(u.Email)
	return err == nil && addr.Address == u.Email && len(u.Email) <= maxEmail && len(u.Name) <= maxName &&
		u.Password != "" && len(u.Password) <= maxPassword
}

// signIn checks a password. Unknown, disabled and wrong are one answer, and take one comparison each, so that
// nobody learns which addresses exist.
func (p *users) signIn(email, password string) (User, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	a := p.byEmail[strings.ToLower(strings.TrimSpace(email))]
	want, known := "", a != nil
	if known {
		want = a.Password
	}
	given, kept := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(given[:], kept[:]) != 1 || !known || a.disabled {
		return User{}, false
	}
	return clone(a.User), true
}

// active finds a user who may hold tokens.
func (p *users) active(sub string) (User, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	a := p.bySub[sub]
	if a == nil || a.disabled {
		return User{}, false
	}
	return clone(a.User), true
}

func (p *users) find(subOrEmail string) (User, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	a := p.lookup(subOrEmail)
	if a == nil {
		return User{}, false
	}
	return clone(a.User), true
}

func (p *users) disable(subOrEmail string, disabled bool) (User, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.lookup(subOrEmail)
	if a == nil {
		return User{}, false
	}
	a.disabled = disabled
	return clone(a.User), true
}

func (p *users) lookup(subOrEmail string) *account {
	if a := p.bySub[subOrEmail]; a != nil {
		return a
	}
	return p.byEmail[strings.ToLower(subOrEmail)]
}

func (p *users) all() []User {
	p.mu.RLock()
	defer p.mu.RUnlock()
	list := make([]User, 0, len(p.order))
	for _, sub := range p.order {
		list = append(list, clone(p.bySub[sub].User))
	}
	return list
}

// clone keeps callers from changing a user's groups and attributes behind the lock.
func clone(u User) User {
	u.Groups, u.Attributes = slices.Clone(u.Groups), maps.Clone(u.Attributes)
	return u
}
