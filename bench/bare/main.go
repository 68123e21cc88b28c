// Command bare is the floor that benchmarks compare with: an echo handler that answers bytes from memory, with the headers of
// the token answer and nothing else, and a net/http handler that takes a POST and answers the same bytes.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
)

func main() {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	e := echo.New()
	e.GET("/api/cognito-token", func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Cookie")
		return c.Blob(http.StatusOK, "application/json", body)
	})
	post := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("http://" + l.Addr().String())
	if len(os.Args) > 1 && os.Args[1] == "post" {
		fail(http.Serve(l, post))
	}
	fail(http.Serve(l, e))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bare:", err)
	os.Exit(1)
}
