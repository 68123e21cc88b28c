package views

// ErrorKind is what went wrong, as far as a person needs to know. Its zero value, and any unknown one, is ErrInternal.
type ErrorKind int

// The kinds of error that have words of their own. The status that usually goes with each is in brackets.
const (
	ErrInternal            ErrorKind = iota // the fault is ours [500]
	ErrSignInExpired                        // the pending sign-in is unknown or too old [400]
	ErrSignInUsed                           // the answer of the provider was used before [400]
	ErrSignInCancelled                      // the user turned back at the provider: access_denied [400]
	ErrSignInRefused                        // the provider refused for another reason [400]
	ErrSignInNotVerified                    // the provider's answer could not be verified [400]
	ErrBadRequest                           // the request is malformed [400]
	ErrForbidden                            // the request came from where it may not come from [403]
	ErrNotFound                             // there is no such page [404]
	ErrMethodNotAllowed                     // the address is not used with this method [405]
	ErrTooLarge                             // the body exceeds its limit [413]
	ErrProviderUnavailable                  // the provider does not answer [503]
	ErrProviderBroken                       // the provider's answer makes no sense [502]
	ErrNotEverywhere                        // signing out on all devices may not have reached all [503]
	ErrAppUnavailable                       // the application behind us does not answer [502, 504]
)

// Error is what an error page shows.
type Error struct {
	Kind      ErrorKind
	RetryURL  string // where to try again; "" hides it
	HomeURL   string // where to go back to; "" hides it
	RequestID string // a reference that support can look up in the log; "" hides it
}

// wording is what a page says about an error. Advice may be empty.
type wording struct{ title, text, advice string }

// wording is the one table from kinds of error to words.
func (k ErrorKind) wording(t *texts) wording {
	switch k {
	case ErrSignInExpired:
		return wording{t.ExpiredTitle, t.ExpiredText, t.AdviceAgain}
	case ErrSignInUsed:
		return wording{t.UsedTitle, t.UsedText, t.AdviceAgain}
	case ErrSignInCancelled:
		return wording{t.CancelledTitle, t.CancelledText, ""}
	case ErrSignInRefused:
		return wording{t.RefusedTitle, t.RefusedText, t.AdviceContact}
	case ErrSignInNotVerified:
		return wording{t.NotVerifiedTitle, t.NotVerifiedText, t.AdviceContact}
	case ErrBadRequest:
		return wording{t.BadRequestTitle, t.BadRequestText, ""}
	case ErrForbidden:
		return wording{t.ForbiddenTitle, t.ForbiddenText, ""}
	case ErrNotFound:
		return wording{t.NotFoundTitle, t.NotFoundText, ""}
	case ErrMethodNotAllowed:
		return wording{t.MethodTitle, t.MethodText, ""}
	case ErrTooLarge:
		return wording{t.TooLargeTitle, t.TooLargeText, ""}
	case ErrProviderUnavailable:
		return wording{t.ProviderUnavailableTitle, t.ProviderUnavailableText, t.AdviceWait}
	case ErrProviderBroken:
		return wording{t.ProviderBrokenTitle, t.ProviderBrokenText, t.AdviceContact}
	case ErrNotEverywhere:
		return wording{t.NotEverywhereTitle, t.NotEverywhereText, ""}
	case ErrAppUnavailable:
		return wording{t.AppUnavailableTitle, t.AppUnavailableText, t.AdviceWait}
	}
	return wording{t.InternalTitle, t.InternalText, t.AdviceContact}
}
