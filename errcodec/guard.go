package errcodec

import (
	"fmt"
	"time"
)

// guard runs the code of types that nobody vouched for. It may panic, end its
// goroutine, or never return; so it runs in a goroutine of its own, which is
// left behind when patience ends.
type guard struct {
	left  time.Duration
	timer *time.Timer
}

// waits are how often a wait is renewed before it ends. Where the whole
// process stands still for a while, only one of them is used up.
const waits = 8

// unnoticed is how much of each call's time costs no patience: on a loaded
// machine many innocent calls must not use up what is meant for a stuck one.
const unnoticed = time.Millisecond

// run reports what went wrong with f: "" if nothing did. After a time-out f is
// still running, and the caller must not look at what it writes.
func (g *guard) run(f func()) string {
	return g.follow(f, func() int64 { return 0 })
}

// mostRounds is how often follow waits for something that moves.
const mostRounds = 8

// follow is run for what may take longer, as long as progress moves.
func (g *guard) follow(f func(), progress func() int64) string {
	if g.left < time.Millisecond {
		return "was not asked: there is no patience left"
	}
	begin, patience, done := time.Now(), g.left/2, start(f)
	for round, last := 0, int64(-1); round < mostRounds && progress() != last; round++ {
		last = progress()
		if why, ok := g.wait(done, patience); ok {
			g.left -= max(0, min(time.Since(begin)-unnoticed, patience))
			return why
		}
	}
	g.left -= patience
	return fmt.Sprintf("did not return within %v", patience)
}

// start runs f in a goroutine, and says when and how it ended.
func start(f func()) <-chan string {
	done := make(chan string, 1)
	go func() {
		why := "ended its goroutine"
		defer func() { done <- why }()
		why = protect(f)
	}()
	return done
}

func (g *guard) wait(done <-chan string, patience time.Duration) (why string, ok bool) {
	defer func() { g.timer.Stop() }()
	for range waits {
		g.wind(patience / waits)
		select {
		case why = <-done:
			return why, true
		case <-g.timer.C:
		}
	}
	select {
	case why = <-done:
		return why, true
	default:
		return "", false
	}
}

func (g *guard) wind(d time.Duration) {
	if g.timer == nil {
		g.timer = time.NewTimer(d)
		return
	}
	g.timer.Reset(d)
}

const panicked = "panicked: "

// protect runs f and says how it panicked, if it did.
func protect(f func()) (why string) {
	defer func() {
		if p := recover(); p != nil {
			why = panicked + describe(p)
		}
	}()
	f()
	return ""
}

// describe formats the value of a panic, whose own methods may panic again.
func describe(p any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T", p)
		}
	}()
	return clip(fmt.Sprint(p), noteBytes)
}

// causes asks err, and says what went wrong.
func (g *guard) causes(err error) (causes, string) {
	if !unwraps(err) {
		return causes{}, ""
	}
	var c causes
	if why := g.run(func() { c = causesOf(err) }); why != "" {
		return causes{}, "Unwrap " + why
	}
	return c, ""
}

// text asks err, and says what went wrong.
func (g *guard) text(err error) (string, string) {
	var text string
	if why := g.run(func() { text = err.Error() }); why != "" {
		return "", why
	}
	return text, ""
}
