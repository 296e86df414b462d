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
# # 4. What reviewers of a product like and dislike
#
# From the reviews of one item: how content their writers are beside those of other items, what they praise and what to mend.

# %%
from attune.session import get_session
from attune.show import opinion
from attune.show.workspace import find_workspace
from attune.tables import Tables

workspace = find_workspace("workspace")  # the environment variable ATTUNE_WORKSPACE wins
tables = Tables(workspace, get_session("attune notebooks"))
item = opinion.choose_item(tables, None)  # an id of table items in place of None; None: one that opinions differ on
item

# %% [markdown]
# ## Among its like
#
# Satisfaction is the mean probability of a positive review. It is drawn towards the mean of all items where reviews are few,
# so that one enthusiast does not make a favourite.

# %%
beside = opinion.items_beside(tables, item)
opinion.plot_satisfaction(beside)

# %% [markdown]
# ## What they like and dislike
#
# Words that stand more often in the item's positive (or negative) reviews than in those of other items.

# %%
reviews = opinion.reviews_of(tables, item)
opinion.plot_mentions(opinion.mentions(reviews, *beside.loc[beside["own"], ["praise", "complaints"]].iloc[0]))

# %%
opinion.telling(reviews)

# %% [markdown]
# ## Has it changed?

# %%
opinion.plot_months(reviews)

# %% [markdown]
# ## Do stars and words agree?
#
# Few stars with a text that sounds content, or the other way round, are reviews worth reading.

# %%
opinion.plot_stars(reviews)

# %% [markdown]
# ## Try next
#
# - Another item: put an id in place of `None` above, such as the last of `beside`, the least liked of the category.
# - More words: `./spark-submit.sh score --set score.num_words=10`, then this notebook again.
# - Your own labels (delivery, quality, price, ...) in place of positive and negative: job `finetune`, see the README.
