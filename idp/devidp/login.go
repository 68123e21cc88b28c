package devidp

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	if req, ok := s.admit(w, r); ok {
		s.showForm(w, r, formView{req: req, email: req.query.Get("login_hint")})
	}
}

func (s *Server) signupPage(w http.ResponseWriter, r *http.Request) {
	if req, ok := s.admit(w, r); ok {
		s.showForm(w, r, formView{req: req, signUp: true, email: req.query.Get("login_hint")})
	}
}

// login answers a wrong password, an unknown and a disabled user alike.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	req, ok := s.submitted(w, r)
	if !ok {
		return
	}
	email := strings.TrimSpace(r.PostForm.Get("username"))
	u, ok := s.users.signIn(email, r.PostForm.Get("password"))
	if !ok {
		s.stats.add(func(t *Stats) { t.SignInsRefused++ })
		s.showForm(w, r, formView{req: req, email: email, problem: problemCredentials})
		return
	}
	s.stats.add(func(t *Stats) { t.SignIns++ })
	s.cfg.Logger.Info("signed in", "sub", u.Sub)
	s.sendCode(w, r, req, s.beginBrowser(w, u))
}

// signup makes the user and signs him in. Nothing is sent to the address: it counts as verified.
func (s *Server) signup(w http.ResponseWriter, r *http.Request) {
	req, ok := s.submitted(w, r)
	if !ok {
		return
	}
	asked := User{
		Email: strings.TrimSpace(r.PostForm.Get("username")), Name: strings.TrimSpace(r.PostForm.Get("name")),
		Password: r.PostForm.Get("password"),
	}
	u, err := s.users.signUp(asked)
	if err != nil {
		s.showForm(w, r, formView{req: req, signUp: true, email: asked.Email, name: asked.Name, problem: problemOf(err)})
		return
	}
	s.stats.add(func(t *Stats) { t.SignUps++ })
	s.cfg.Logger.Info("signed up", "sub", u.Sub)
	s.sendCode(w, r, req, s.beginBrowser(w, u))
}

// signUp asks more of a password than a configured user's needs.
func (p *users) signUp(u User) (User, error) {
	if utf8.RuneCountInString(u.Password) < minPassword {
		return User{}, errUserDetails
	}
	return p.add(u)
}

func problemOf(err error) problem {
	switch {
	case errors.Is(err, errUserExists):
		return problemExists
	case errors.Is(err, errTooManyUsers):
		return problemFull
	default:
		return problemDetails
	}
}

// submitted admits a form of ours for an authorization request that is still good.
func (s *Server) submitted(w http.ResponseWriter, r *http.Request) (authRequest, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || repeats(r.PostForm) {
		s.showError(w, r, http.StatusBadRequest, "invalid_request")
		return authRequest{}, false
	}
	if !s.ownForm(r) {
		s.showError(w, r, http.StatusForbidden, "csrf")
		return authRequest{}, false
	}
	return s.admit(w, r)
}
