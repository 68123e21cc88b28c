package devidp

import (
	"encoding/json"
	"net/http"
)

// oauthError is a refusal at the token or revocation endpoint. Its code is all that the client learns, as at
// Cognito; the reason goes to the log.
type oauthError struct {
	status int
	code   string
	reason string
	reused bool // a code or refresh token came a second time
}

func refuse(code, reason string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, code: code, reason: reason}
}

func reuse(reason string) *oauthError {
	e := refuse("invalid_grant", reason)
	e.reused = true
	return e
}

func writeOAuthError(w http.ResponseWriter, e *oauthError) {
	writeJSON(w, e.status, struct {
		Error string `json:"error"`
	}{e.code})
}

func writeJSON[T any](w http.ResponseWriter, status int, body T) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	// A client that hangs up is no fault of ours.
	_, _ = w.Write(encoded)
}
