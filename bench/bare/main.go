// Command bare is the floor that benchmarks compare with: an echo handler that answers bytes from memory, with the headers of
// the token answer and nothing else.
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println("http://" + l.Addr().String())
	fail(http.Serve(l, e))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bare:", err)
	os.Exit(1)
}
