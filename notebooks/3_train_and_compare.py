# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Train and compare
#
# Which model recommends best and how sure that is, and what more reviews would bring the sentiment model.

# %%
import tempfile

from attune.session import get_session
from attune.show import models
from attune.show.workspace import end_of_data, find_workspace
from attune.tables import Tables
from attune.training.sentiment import train_sentiment

workspace = find_workspace("workspace")  # the environment variable ATTUNE_WORKSPACE wins
tables = Tables(workspace, get_session("attune notebooks"))

# %% [markdown]
# ## Who recommends best
#
# Models learned from the time before the held-out period, and were asked for what customers did in it. An interval holds
# what other customers of the same kind would have shown, 95 times of 100.

# %%
models.plot_evaluated(models.evaluated(tables, "ndcg", 10))

# %% [markdown]
# Intervals that overlap do not say that models are alike: both were measured on the same customers, so the difference of
# each customer tells more. Where its interval lies right of 0, the blend is better.

# %%
models.plot_differences(models.differences(tables, "ndcg", 10))

# %% [markdown]
# ## How the models in use have learned

# %%
cards = models.cards(workspace)
models.plot_losses(models.losses(cards))

# %%
models.main_figures(cards)

# %%
models.plot_accuracies(models.accuracies(cards["sentiment"]))

# %% [markdown]
# ## Would more reviews help?
#
# Train the same model with the same settings on fewer reviews, in a folder that is gone afterwards, so that the model in use
# stays. It takes a few seconds each. All settings stand in `conf/base.yaml`.

# %%
scratch = tempfile.TemporaryDirectory(dir=workspace)
changed = [
    f"workspace={scratch.name}",
    "train.launcher=single",  # in this process; horovod trains on as many ranks as Spark has places for
    "train.tracking=[]",
    "train.sentiment.start_from=encoder",
]
trained = []
for num in (50, 200):
    changes = [*changed, f"train.sentiment.max_examples={num}"]
    settings = models.settings_of(cards["sentiment"], changes, end_of_data(tables))
    trained.append(train_sentiment(tables.read("reviews"), settings, f"of {num}", before=settings.valid_start))
scratch.cleanup()

# %%
models.plot_learning_curve(models.learning_curve(trained, [cards["sentiment"]]))

# %% [markdown]
# ## Try next
#
# - Another metric or part of the customers: `models.evaluated(tables, "recall", 20, "new_users")`.
# - Two more epochs: add `"train.sentiment.epochs=4"` to `changed`.
# - A model of your own labels: `./spark-submit.sh finetune --config banking77 --set inputs.root=FOLDER`; the settings that
#   suit it: `./spark-submit.sh tune --config banking77 --set inputs.root=FOLDER`.
