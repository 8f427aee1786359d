package participants

import "github.com/skald-go/skald/examples/petshop/domain"

// accounts holds the users' points.
type accounts struct {
	service
	points map[string]int
	closed map[string]bool
}

func (a *accounts) routes() {
	a.name = "accounts"
	a.handle("GET /accounts/{user}", a.read)
	a.handle("POST /accounts/{user}/take", a.take)
	a.handle("POST /accounts/{user}/give", a.give)
}

func (a *accounts) read(r *request) (any, error) { return a.move(r.PathValue("user"), 0) }

// take needs enough points, unless it undoes a gift: then the account may go below zero.
func (a *accounts) take(r *request) (any, error) {
	var in struct{ Points int }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	user := r.PathValue("user")
	if have, found := a.points[user]; found && have < in.Points && !r.undo {
		return nil, &domain.NotEnoughPoints{User: user, Have: have, Need: in.Points}
	}
	return a.move(user, -in.Points)
}

func (a *accounts) give(r *request) (any, error) {
	var in struct{ Points int }
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	return a.move(r.PathValue("user"), in.Points)
}

func (a *accounts) move(user string, points int) (any, error) {
	if _, found := a.points[user]; !found {
		return nil, domain.ErrNoAccount
	}
	if a.closed[user] {
		return nil, domain.ErrAccountClosed
	}
	a.points[user] += points
	return domain.Balance{User: user, Points: a.points[user]}, nil
}
