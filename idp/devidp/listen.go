package devidp

import (
	"errors"
	"fmt"
	"net"

	"vestibule/loopback"
)

// ErrNotLoopback is the refusal of an address that other machines could reach. It is [loopback.ErrNotLoopback].
var ErrNotLoopback = loopback.ErrNotLoopback

// listen gives the listener and the base URL.
func listen(addr string) (net.Listener, string, error) {
	l, own, err := loopback.Listen(addr)
	if errors.Is(err, loopback.ErrAddress) {
		return nil, "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("development provider: %w", err)
	}
	return l, "http://" + own, nil
}
