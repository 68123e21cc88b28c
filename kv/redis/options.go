package redis

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// setOptions reads what stands behind the question mark. An unknown name is not repeated: it may be half a password.
func (a *address) setOptions(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("has options that cannot be read")
	}
	known := a.options()
	for name, given := range values {
		set, is := known[name]
		switch {
		case !is:
			return errors.New("has an option that is not known (write %3F for a ? in a password)")
		case len(given) != 1:
			return fmt.Errorf("gives %s twice", name)
		}
		if err := set(given[0]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	return nil
}

// options are all that a URL may set, by name.
func (a *address) options() map[string]func(string) error {
	return map[string]func(string) error{
		"cluster":           boolean(&a.cluster),
		"sentinel_master":   filled(&a.sentinel.master),
		"sentinel_username": filled(&a.sentinel.username),
		"sentinel_password": filled(&a.sentinel.password),
		"prefix":            prefix(&a.prefix),
		"pool_size":         number(&a.poolSize, maxPool),
		"timeout":           duration(&a.timeout),
		"server_name":       filled(&a.files.serverName),
		"ca_file":           filled(&a.files.ca),
		"cert_file":         filled(&a.files.cert),
		"key_file":          filled(&a.files.key),
	}
}

func filled(to *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("is empty")
		}
		*to = s
		return nil
	}
}

// prefix refuses braces, which would move the hash tag of a Cluster.
func prefix(to *string) func(string) error {
	return func(s string) error {
		if len(s) > maxPrefix || strings.ContainsAny(s, "{}") {
			return fmt.Errorf("is over %d bytes or holds braces", maxPrefix)
		}
		*to = s
		return nil
	}
}

func boolean(to *bool) func(string) error {
	return func(s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("is neither true nor false")
		}
		*to = b
		return nil
	}
}

func number(to *int, most int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("is not a number from 1 to %d", most)
		}
		*to = n
		return nil
	}
}

func duration(to *time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < time.Millisecond || d > maxTimeout {
			return fmt.Errorf("is not a duration from 1ms to %s", maxTimeout)
		}
		*to = d
		return nil
	}
}
