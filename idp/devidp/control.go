package devidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ownOriginOnly keeps the switches from web pages of other origins, which a developer's browser may have open
// beside the demo: it goes by Sec-Fetch-Site, and by Origin where that is missing. Programs send neither.
func ownOriginOnly(next http.HandlerFunc) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			writeOAuthError(w, &oauthError{status: http.StatusForbidden, code: "cross_origin"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody+maxRawBody)
		next(w, r)
	})
}

func (s *Server) showFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Faults())
}

func (s *Server) changeFaults(w http.ResponseWriter, r *http.Request) {
	var f Faults
	err := decodeStrictly(r.Body, &f)
	if err == nil {
		err = s.SetFaults(f)
	}
	if err != nil {
		tell(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, s.Faults())
}

// changeKeys rolls the keys; {"forgetOld":true} takes the old ones out of the key set as well.
func (s *Server) changeKeys(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		ForgetOld bool `json:"forgetOld"`
	}
	if err := decodeStrictly(r.Body, &asked); err != nil && !errors.Is(err, io.EOF) {
		tell(w, http.StatusBadRequest, err.Error())
		return
	}
	s.RollKeys()
	if asked.ForgetOld {
		s.ForgetOldKeys()
	}
	w.WriteHeader(http.StatusNoContent)
}

// endUserSessions takes {"user":"sub or e-mail"}.
func (s *Server) endUserSessions(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		User string `json:"user"`
	}
	if err := decodeStrictly(r.Body, &asked); err != nil {
		tell(w, http.StatusBadRequest, err.Error())
		return
	}
	if !s.RevokeUser(asked.User) {
		tell(w, http.StatusNotFound, "no such user")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// tell explains a refusal: whoever plays with the switches is a developer on this machine.
func tell(w http.ResponseWriter, status int, what string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{what})
}

// decodeStrictly reads one JSON value with no unknown field and nothing behind it. io.EOF means an empty body.
func decodeStrictly[T any](r io.Reader, into *T) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON: more than one value")
	}
	return nil
}
