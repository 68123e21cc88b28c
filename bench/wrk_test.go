package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestARoundCountsOnlyIfAllAnswersAreWhatIsMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		out    string
		status int
		good   bool
	}{
		"all signed in":       {"RESULT 100 0 0 1000 2000 1000000", http.StatusOK, true},
		"one refused":         {"RESULT 100 0 1 1000 2000 1000000", http.StatusOK, false},
		"all signed out":      {"RESULT 100 0 100 1000 2000 1000000", http.StatusUnauthorized, true},
		"one let in":          {"RESULT 100 0 99 1000 2000 1000000", http.StatusUnauthorized, false},
		"all let in":          {"RESULT 100 0 0 1000 2000 1000000", http.StatusUnauthorized, false},
		"an answer that fell": {"RESULT 100 1 0 1000 2000 1000000", http.StatusOK, false},
		"no answers":          {"RESULT 0 0 0 0 0 1000000", http.StatusUnauthorized, false},
		"no result":           {"unable to connect", http.StatusOK, false},
	} {
		r, err := parse(c.out, c.status, time.Millisecond)
		if (err == nil) != c.good || c.good && r != (result{cpu: 10, p50: 1, p99: 2, rate: 100}) {
			t.Errorf("%s: got %+v, %v, want good: %t", name, r, err, c.good)
		}
	}
}

func TestWhatIsMeasuredIsAskedForOnceBefore(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.Header.Get("Authorization") == "Basic eA==" && r.URL.Path == "/oauth2/token":
		case r.URL.Path == "/in" && r.Header.Get("Cookie") == "a=b":
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/out", http.StatusFound)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer s.Close()
	at := &target{url: s.URL}
	for name, c := range map[string]struct {
		load load
		says string // "" for what is as it should be
	}{
		"signed in":        {load{path: "/in", cookies: []string{"a=b"}, status: http.StatusOK}, ""},
		"signed out":       {load{path: "/in", status: http.StatusUnauthorized}, ""},
		"a service":        {load{post: &post{authorization: "Basic eA=="}, status: http.StatusOK}, ""},
		"out and not in":   {load{path: "/in", status: http.StatusOK}, "status 401, want 200"},
		"another refusal":  {load{path: "/in", status: http.StatusForbidden}, "status 401, want 403"},
		"sent somewhere":   {load{path: "/moved", status: http.StatusUnauthorized}, "status 302, want 401"},
		"a service unsaid": {load{post: &post{}, status: http.StatusOK}, "status 401, want 200"},
	} {
		c.load.target = at
		if err := c.load.answers(t.Context()); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}
