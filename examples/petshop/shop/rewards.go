package shop

import (
	"context"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// What the shop pays.
const (
	QuizReward    = 5000
	RewardByLevel = 40
)

// NewQuiz is a quiz that its author wants to post.
type NewQuiz struct {
	Caller Caller
	Title  string
}

func (c *client) createQuiz() step.Step[NewQuiz, domain.Quiz] {
	create := func(ctx context.Context, q NewQuiz) (domain.Quiz, error) {
		quiz := domain.Quiz{Title: q.Title, Author: q.Caller.User}
		return c.post[domain.Quiz](ctx, q.Caller, quiz, "quizzes", "quizzes", q.Title)
	}
	return step.New("create-quiz", create).
		Compensate(func(ctx context.Context, e step.Effect[NewQuiz, domain.Quiz]) error {
			return c.undo(ctx, nil, "quizzes", "quizzes", e.In.Title, "delete")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

// postQuiz pays the caller for a quiz.
func (c *client) postQuiz() flow.Flow[NewQuiz, domain.Quiz] {
	return flow.New[NewQuiz]("post-quiz").
		Use(c.givePoints("reward"), func(q NewQuiz) Points { return Points{q.Caller, q.Caller.User, QuizReward} }, keep).
		Then(c.createQuiz())
}

// Released is a pet that was let go.
type Released struct {
	By  TakePet
	Pet domain.Pet
}

func (r Released) reward() Points {
	return Points{r.By.Caller, r.By.Caller.User, r.Pet.Level * RewardByLevel}
}

func (c *client) recordRelease() step.Step[Released, domain.Release] {
	record := func(ctx context.Context, r Released) (domain.Release, error) {
		in := domain.Release{User: r.By.Caller.User, Pet: r.Pet}
		return c.post[domain.Release](ctx, r.By.Caller, in, "releases", "releases", r.Pet.ID)
	}
	return step.New("record-release", record).
		Compensate(func(ctx context.Context, e step.Effect[Released, domain.Release]) error {
			return c.undo(ctx, nil, "releases", "releases", e.In.Pet.ID, "delete")
		}).
		Retry(retry).RetryUndo(retryUndo)
}

// releasePet lets a pet of the caller go, for points that depend on its level.
func (c *client) releasePet() flow.Flow[TakePet, domain.Balance] {
	return flow.New[TakePet]("release-pet").
		Also(c.takePet(), func(by TakePet, pet domain.Pet) Released { return Released{by, pet} }).
		Also(c.recordRelease(), keep).
		Map(Released.reward).
		Then(c.givePoints("pay-reward"))
}
