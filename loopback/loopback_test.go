package loopback_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vestibule/loopback"
)

func TestListenRefusesEveryAddressButLoopback(t *testing.T) {
	for addr, want := range map[string]error{
		":0": loopback.ErrNotLoopback, "0.0.0.0:0": loopback.ErrNotLoopback, "[::]:0": loopback.ErrNotLoopback,
		"192.0.2.1:0": loopback.ErrNotLoopback, "169.254.169.254:0": loopback.ErrNotLoopback, "[::1%lo]:0": loopback.ErrNotLoopback,
		"no-such-host.invalid:0": loopback.ErrNotLoopback, "127.0.0.1": loopback.ErrAddress, "": loopback.ErrAddress,
	} {
		l, _, err := loopback.Listen(addr)
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", addr, err, want)
		}
		if l != nil {
			t.Errorf("%q: it listens", addr)
			_ = l.Close()
		}
	}
}

func TestListenTellsTheNameItWasAskedFor(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		l, own, err := loopback.Listen(host + ":0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if want := host + ":" + port; own != want {
			t.Errorf("got %s, want %s", own, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyAnswersToLoopbackNames(t *testing.T) {
	h := loopback.Only("dev.example:80", http.NotFoundHandler())
	for host, want := range map[string]int{
		"dev.example:80": http.StatusNotFound, "localhost": http.StatusNotFound, "LOCALHOST:1": http.StatusNotFound,
		"127.0.0.2:9": http.StatusNotFound, "[::1]": http.StatusNotFound, "[::1]:8": http.StatusNotFound,
		"dev.example": http.StatusMisdirectedRequest, "attacker.example": http.StatusMisdirectedRequest,
		"localhost.attacker.example": http.StatusMisdirectedRequest, "192.0.2.1:80": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", host, w.Code, want)
		}
		if w.Code == http.StatusMisdirectedRequest && !strings.Contains(w.Body.String(), "loopback") {
			t.Errorf("%q: the answer does not say why: %s", host, w.Body)
		}
	}
}
