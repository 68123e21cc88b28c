package dynamodb

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	// defaultTimeout is what every cache gets. DynamoDB answers within 10 ms as a rule; the rest is for a new connection, and for a second
	// attempt where one of AWS's hosts does not answer. Fresh credentials that take longer are there for the next call.
	defaultTimeout = 250 * time.Millisecond
	maxTimeout     = time.Minute
	maxURL         = 4096 // bytes
)

// address is a cache URL taken apart.
type address struct {
	table    string
	region   string        // "": what the AWS SDK finds
	endpoint string        // "": AWS's own
	timeout  time.Duration // of one call, all attempts together
}

// parseAddress reads dynamodb://table[?options]. Its errors repeat nothing of the text: the key that it stands under is one for
// secrets.
func parseAddress(given string) (address, error) {
	a := address{timeout: defaultTimeout}
	if len(given) > maxURL {
		return a, fmt.Errorf("is over %d bytes", maxURL)
	}
	rest, is := strings.CutPrefix(given, "dynamodb://")
	if !is {
		return a, errors.New("does not start with dynamodb://")
	}
	table, query, _ := strings.Cut(rest, "?")
	if !tableName().MatchString(table) {
		return a, errors.New("has no table name of 3 to 255 letters, digits, dots, hyphens and underscores")
	}
	a.table = table
	values, err := url.ParseQuery(query)
	if err != nil {
		return a, errors.New("has options that cannot be read")
	}
	known := map[string]func(string) error{"region": a.setRegion, "endpoint": a.setEndpoint, "timeout": a.setTimeout}
	for name, given := range values {
		set, is := known[name]
		switch {
		case !is:
			return a, errors.New("has an option other than region, endpoint and timeout")
		case len(given) != 1:
			return a, fmt.Errorf("gives %s twice", name)
		}
		if err := set(given[0]); err != nil {
			return a, fmt.Errorf("%s %w", name, err)
		}
	}
	return a, nil
}

// tableName is AWS's rule: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
func tableName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) }

func (a *address) setRegion(s string) error {
	if !regexp.MustCompile(`^[a-z0-9-]{1,32}$`).MatchString(s) {
		return errors.New("is not the name of a region, such as eu-west-1")
	}
	a.region = s
	return nil
}

func (a *address) setEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("is not https://host or http://host, with a port if need be")
	}
	a.endpoint = u.Scheme + "://" + u.Host
	return nil
}

func (a *address) setTimeout(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond || d > maxTimeout {
		return fmt.Errorf("is not a duration from 1ms to %s", maxTimeout)
	}
	a.timeout = d
	return nil
}
